//! Views over a column that must widen: dropped and made again around the change, as they were.

use anyhow::{Context as _, bail};
use tokio_postgres::Client;
use tracing::info;

use crate::loads::Table;

/// What depends on the columns, views on views included; the furthest first.
const DEPENDENTS: &str = "
with recursive dependent (oid, level) as (
    select distinct rule.ev_class, 1
    from pg_depend d
    join pg_rewrite rule on d.classid = 'pg_rewrite'::regclass and rule.oid = d.objid
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where d.refclassid = 'pg_class'::regclass and d.refobjid = format('%I.%I', $1::text, $2::text)::regclass
        and a.attname = any($3) and rule.ev_class <> d.refobjid
    union
    select rule.ev_class, dependent.level + 1
    from dependent
    join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = dependent.oid
    join pg_rewrite rule on d.classid = 'pg_rewrite'::regclass and rule.oid = d.objid
    where rule.ev_class <> d.refobjid
)
select c.oid, c.oid::regclass::text, c.relkind::text,
    exists (select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal)
        or exists (select from pg_rewrite r where r.ev_class = c.oid and r.rulename <> '_RETURN')
from dependent join pg_class c using (oid)
group by c.oid
order by max(dependent.level) desc, c.oid";

/// The statements that make a view again: definition with options, owner, defaults, comments, grants.
const REMAKE: &str = "
with v as (select c.*, c.oid::regclass::text as name from pg_class c where c.oid = $1),
grants (number, statement) as (
    select 5, format('grant %s on %s to %s%s', g.privilege_type, v.name,
        case g.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end,
        case when g.is_grantable then ' with grant option' end)
    from v, aclexplode(coalesce(v.relacl, acldefault('r', v.relowner))) g
    union all
    select 6, format('grant %s (%I) on %s to %s%s', g.privilege_type, a.attname, v.name,
        case g.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end,
        case when g.is_grantable then ' with grant option' end)
    from v, pg_attribute a, aclexplode(a.attacl) g
    where a.attrelid = v.oid
)
select statement from (
    select 1 as number, format('create view %s%s as %s', v.name,
        (select ' with (' || string_agg(format('%s=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') || ')'
         from unnest(v.reloptions) o),
        pg_get_viewdef(v.oid)) as statement from v
    union all
    select 2, format('alter view %s owner to %I', v.name, pg_get_userbyid(v.relowner)) from v
    union all
    select 3, format('alter view %s alter column %I set default %s', v.name, a.attname, pg_get_expr(d.adbin, d.adrelid))
    from v join pg_attrdef d on d.adrelid = v.oid
    join pg_attribute a on a.attrelid = v.oid and a.attnum = d.adnum
    union all
    select 4, format('comment on view %s is %L', v.name, obj_description(v.oid, 'pg_class'))
    from v where obj_description(v.oid, 'pg_class') is not null
    union all
    select 4, format('comment on column %s.%I is %L', v.name, a.attname, col_description(v.oid, a.attnum))
    from v join pg_attribute a on a.attrelid = v.oid
    where a.attnum > 0 and col_description(v.oid, a.attnum) is not null
    union all
    select number, statement from grants
) as statements order by number";

/// What the default privileges of the database gave a view that was just made.
const REVOKE: &str = "
select format('revoke all on %s from %s', c.oid::regclass,
    case g.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end)
from pg_class c, (select distinct (aclexplode(relacl)).grantee from pg_class where oid = $1::text::regclass) g
where c.oid = $1::text::regclass";

struct View {
    name: String,
    remake: Vec<String>,
}

/// Executes `ddl`, which gives the columns `retyped` of `table` other types, and returns all that was done.
///
/// # Errors
/// Something depends on the columns that cannot be made again; it is named, and nothing was changed.
pub async fn keep(
    client: &Client,
    table: &Table,
    retyped: &[String],
    ddl: Vec<String>,
) -> anyhow::Result<Vec<String>> {
    let views = if retyped.is_empty() {
        Vec::new()
    } else {
        dependents(client, table, retyped).await?
    };
    let mut done = Vec::new();
    for view in &views {
        let sql = format!("drop view {}", view.name);
        execute(client, &mut done, sql)
            .await
            .with_context(|| format!("take the view {} away", view.name))?;
    }
    for sql in ddl {
        execute(client, &mut done, sql)
            .await
            .with_context(|| format!("change the columns of {table}"))?;
    }
    for view in views.into_iter().rev() {
        remake(client, &mut done, &view)
            .await
            .with_context(|| format!("make the view {} again", view.name))?;
        info!(
            view.name = view.name,
            "made the view {} again, over wider columns", view.name
        );
    }
    Ok(done)
}

async fn execute(client: &Client, done: &mut Vec<String>, sql: String) -> anyhow::Result<()> {
    client.batch_execute(&sql).await?;
    done.push(sql);
    Ok(())
}

async fn dependents(
    client: &Client,
    table: &Table,
    columns: &[String],
) -> anyhow::Result<Vec<View>> {
    let found = client
        .query(DEPENDENTS, &[&table.schema, &table.name, &columns])
        .await
        .with_context(|| format!("look for views on {table}"))?;
    let mut views = Vec::new();
    for row in found {
        let (oid, name, kind, more): (u32, String, String, bool) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let columns = columns.join(", ");
        match kind.as_str() {
            "v" if !more => {}
            "v" => bail!(
                "view {name} has triggers or rules and depends on {columns} of {table}, which must widen: drop the view, load, make it again"
            ),
            "m" => bail!(
                "materialised view {name} depends on {columns} of {table}, which must widen: drop it, load, make it again"
            ),
            _ => bail!(
                "a rule of {name} depends on {columns} of {table}, which must widen: drop the rule, load, make it again"
            ),
        }
        let remake = client
            .query(REMAKE, &[&oid])
            .await
            .with_context(|| format!("read the view {name}"))?;
        views.push(View {
            name,
            remake: remake.iter().map(|row| row.get(0)).collect(),
        });
    }
    Ok(views)
}

async fn remake(client: &Client, done: &mut Vec<String>, view: &View) -> anyhow::Result<()> {
    let (create, rest) = view.remake.split_at(view.remake.len().min(2));
    for sql in create {
        execute(client, done, sql.clone()).await?;
    }
    for row in client.query(REVOKE, &[&view.name]).await? {
        execute(client, done, row.get(0)).await?;
    }
    for sql in rest {
        execute(client, done, sql.clone()).await?;
    }
    Ok(())
}
