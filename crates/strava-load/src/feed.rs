//! Turns pending files into the rows of one COPY, and says which changes the table needs in between.

mod parquet;

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    columns::{Columns, FIXED},
    copy::Tuple,
    encode::Encoder,
    handover::{Fed, Fetched, FileCount, Halt, Step, Tolerance},
    lattice::{Scalar, Type, Value},
    lines::{Batch, LONGEST, Lines, unpack},
    reasons::{Fault, Reason},
    rejects::{OnTypeConflict, Reject, SetAside},
    rows::{Envelope, Source},
    survey::{ODD_ONE_OUT, Pins, Survey, Surveyor},
    tree::Tree,
    value::Checker,
};

/// Rows travel to the database in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub struct Feed {
    stream: &'static str,
    columns: Columns,
    tree: Tree,
    survey: Survey,
    pins: Pins,
    tolerance: Tolerance,
    tombstones_expected: bool,
    loaded_at: i64,
    envelope: Envelope,
    checker: Checker,
    tuple: Tuple,
    /// Counts readings of rows: a row that is looked at twice is not its own duplicate.
    reading: u64,
    piece: Vec<u8>,
    piece_rows: u64,
    aside: SetAside,
    read: u64,
    files: BTreeMap<i64, FileCount>,
    steps: mpsc::Sender<Step>,
}

/// What a [`Feed`] is made of.
#[derive(Debug)]
pub struct Beginning {
    pub stream: &'static str,
    /// The columns that the table to be filled has.
    pub columns: Columns,
    pub pins: Pins,
    pub tolerance: Tolerance,
    /// False where rows go straight into a new table, which no tombstone may enter.
    pub tombstones_expected: bool,
    pub loaded_at: i64,
}

impl Feed {
    pub fn new(beginning: Beginning, steps: mpsc::Sender<Step>) -> Feed {
        let Beginning {
            stream,
            columns,
            pins,
            tolerance,
            tombstones_expected,
            loaded_at,
        } = beginning;
        Feed {
            stream,
            tree: Tree::new(&columns),
            columns,
            survey: Survey::default(),
            pins,
            tolerance,
            tombstones_expected,
            loaded_at,
            envelope: Envelope::default(),
            checker: Checker::default(),
            tuple: Tuple::default(),
            reading: 0,
            piece: Vec::with_capacity(PIECE_BYTES),
            piece_rows: 0,
            aside: SetAside::default(),
            read: 0,
            files: BTreeMap::new(),
            steps,
        }
    }

    /// Feeds every file that arrives; blocks, so it wants a thread of its own.
    pub fn run(mut self, mut fetched: mpsc::Receiver<Fetched>) -> Result<Fed, Halt> {
        let mut batch = Batch::default();
        while let Some(Fetched {
            load_id,
            again,
            key,
            body,
        }) = fetched.blocking_recv()
        {
            let torn = |source| Halt::Torn {
                key: key.clone(),
                source,
            };
            let source = Source {
                stream: self.stream,
                load_id,
                file: &key,
                loaded_at: self.loaded_at,
                again,
            };
            self.files.insert(load_id, FileCount::default());
            if key.ends_with(parquet::ENDING) {
                self.parquet(body, &source)?;
                continue;
            }
            let mut lines = Lines::new(unpack(body).map_err(torn)?);
            while lines.next_batch(&mut batch).map_err(torn)? {
                self.batch(&batch, &source)?;
            }
        }
        self.send_rows()?;
        self.send_rejects()?;
        self.restart_if_odd_ones_are_many()?;
        Ok(Fed {
            columns: self.columns,
            files: self.files,
        })
    }

    fn batch(&mut self, batch: &Batch, source: &Source<'_>) -> Result<(), Halt> {
        let mut faults = None;
        let mut index = 0;
        while index < batch.len() {
            let (line, row, too_long) = batch.line(index);
            let known = faults
                .as_mut()
                .and_then(|faults: &mut BTreeMap<usize, Fault>| faults.remove(&index));
            let outcome = match (too_long, known) {
                (Some(length), _) => Err(too_long_fault(length)),
                (None, Some(fault)) => Err(fault),
                (None, None) => self.encode(line, row, source),
            };
            match outcome {
                Ok(()) if self.envelope.is_tombstone() && !self.tombstones_expected => {
                    return Err(Halt::Tombstone);
                }
                Ok(()) if self.piece.len() >= PIECE_BYTES => self.send_rows()?,
                Ok(()) => {}
                Err(Fault::Misfit(_)) if faults.is_none() => {
                    faults = Some(self.survey(batch, index)?);
                    continue;
                }
                Err(Fault::Misfit(column)) => self.conflict(line, row, column, source)?,
                Err(Fault::Reject { reason, detail }) => {
                    self.reject(line, row, reason, detail, source)?;
                }
            }
            index += 1;
        }
        let count = self.files.entry(source.load_id).or_default();
        count.rows_read += batch.len() as u64;
        self.read += batch.len() as u64;
        Ok(())
    }

    fn encode(&mut self, line: &[u8], row: u64, source: &Source<'_>) -> Result<(), Fault> {
        self.reading += 1;
        self.tuple.begin(FIXED.len() + self.columns.len());
        let mut leaves = Encoder {
            columns: &mut self.columns,
            tuple: &mut self.tuple,
            checker: &mut self.checker,
        };
        self.envelope
            .read(line, self.stream, &mut self.tree, self.reading, &mut leaves)?;
        self.take_tuple(row, source);
        Ok(())
    }

    /// Puts the row in hand into the piece that goes to the database next.
    fn take_tuple(&mut self, row: u64, source: &Source<'_>) {
        self.envelope.write(&mut self.tuple, source, row);
        self.tuple.append_to(&mut self.piece);
        self.piece_rows += 1;
        let count = self.files.entry(source.load_id).or_default();
        count.tombstones += u64::from(self.envelope.is_tombstone());
        let at = self.envelope.fetched_at();
        count.fetched = Some(
            count
                .fetched
                .map_or((at, at), |(from, until)| (from.min(at), until.max(at))),
        );
    }

    /// Looks at this and the following rows of the batch at once, so that the table changes once.
    fn survey(&mut self, batch: &Batch, from: usize) -> Result<BTreeMap<usize, Fault>, Halt> {
        let (mut faults, mut changes) = (BTreeMap::new(), Vec::new());
        for index in from..batch.len() {
            let (line, _, too_long) = batch.line(index);
            if too_long.is_some() {
                continue;
            }
            let fault = self.look(line).and_then(|()| {
                self.survey
                    .take_row(&self.tree, &mut self.columns, &mut changes)
            });
            if let Err(fault) = fault {
                faults.insert(index, fault);
            }
        }
        let tolerant =
            self.tolerance.on_type_conflict == OnTypeConflict::Reject && self.tolerance.limit > 0;
        self.survey.settle(
            &mut self.tree,
            &mut self.columns,
            &self.pins,
            tolerant,
            &mut changes,
        );
        if !changes.is_empty() {
            self.send_rows()?;
            self.send(Step::Alter(changes))?;
        }
        Ok(faults)
    }

    fn look(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.reading += 1;
        self.survey.begin_row();
        let mut leaves = Surveyor {
            survey: &mut self.survey,
            columns: &self.columns,
            checker: &mut self.checker,
        };
        self.envelope
            .read(line, self.stream, &mut self.tree, self.reading, &mut leaves)
    }

    /// A value that no lossless widening makes fit.
    fn conflict(
        &mut self,
        line: &[u8],
        row: u64,
        column: Option<usize>,
        source: &Source<'_>,
    ) -> Result<(), Halt> {
        let Some(index) = column else {
            let detail = "its keys did not become columns".to_owned();
            return self.reject(line, row, Reason::TypeConflict, detail, source);
        };
        // A row that is set aside for another reason as well says so here.
        let value = self
            .look(line)
            .ok()
            .and_then(|()| self.survey.value_of(&self.tree, index));
        let column = self.columns.at(index);
        column.misfits += 1;
        let detail = format!(
            "column {} is {}, the value is {}",
            column.name,
            column.kind,
            describe(value)
        );
        let outgrown = column.new && column.misfits > self.tolerance.limit;
        match self.tolerance.on_type_conflict {
            OnTypeConflict::Fail => Err(Halt::Conflict {
                key: source.file.to_owned(),
                row,
                detail,
            }),
            OnTypeConflict::WidenToText => Err(self.restart(index, value)),
            OnTypeConflict::Reject if outgrown => Err(self.restart(index, value)),
            OnTypeConflict::Reject => {
                if !matches!(value, Some(Value::One(_)) | None) {
                    column.odd_shape = true;
                }
                self.reject(line, row, Reason::TypeConflict, detail, source)
            }
        }
    }

    /// The column as text, or as jsonb where a value is no scalar, from the first row on.
    fn restart(&mut self, index: usize, value: Option<Value>) -> Halt {
        let column = self.columns.at(index);
        let scalar = matches!(column.kind, Type::One(_))
            && matches!(value, Some(Value::One(_)) | None)
            && !column.odd_shape;
        let kind = if scalar {
            Type::One(Scalar::Text)
        } else {
            Type::Json
        };
        let mut pins = self.pins.clone();
        pins.insert(column.path.clone(), kind);
        Halt::Restart(pins)
    }

    /// The rule of [`Survey::settle`] again, now over all rows: the place of a value must not matter.
    fn restart_if_odd_ones_are_many(&mut self) -> Result<(), Halt> {
        let outgrown = self.columns.iter().position(|column| {
            column.new && column.misfits * ODD_ONE_OUT > column.values + column.misfits
        });
        outgrown.map_or(Ok(()), |index| Err(self.restart(index, None)))
    }

    fn reject(
        &mut self,
        line: &[u8],
        row: u64,
        reason: Reason,
        detail: String,
        source: &Source<'_>,
    ) -> Result<(), Halt> {
        if source.again {
            return Ok(()); // it is among the rejects already
        }
        self.files.entry(source.load_id).or_default().rejected += 1;
        self.aside
            .add(Reject::new(source, row, reason, detail, line));
        if self.aside.count() > self.tolerance.limit {
            return Err(Halt::TooManyRejects {
                rejected: self.aside.count(),
                read: self.read,
                limit: self.tolerance.limit,
                summary: self.aside.summary(),
            });
        }
        if self.aside.is_full() {
            self.send_rows()?;
            self.send_rejects()?;
        }
        Ok(())
    }

    fn send_rejects(&mut self) -> Result<(), Halt> {
        match self.aside.take() {
            none if none.is_empty() => Ok(()),
            rejects => self.send(Step::Reject(rejects)),
        }
    }

    fn send_rows(&mut self) -> Result<(), Halt> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::replace(
            &mut self.piece,
            Vec::with_capacity(PIECE_BYTES),
        ));
        let rows = std::mem::take(&mut self.piece_rows);
        self.send(Step::Rows { bytes, rows })
    }

    fn send(&self, step: Step) -> Result<(), Halt> {
        self.steps.blocking_send(step).map_err(|_| Halt::Closed)
    }
}

fn too_long_fault(length: usize) -> Fault {
    Fault::reject(
        Reason::TooLong,
        format!("{length} bytes, at most {LONGEST} are read; raw has the beginning"),
    )
}

fn describe(value: Option<Value>) -> &'static str {
    match value {
        Some(Value::One(_)) => "another scalar",
        Some(Value::Many(_)) => "an array",
        Some(Value::Json) => "an object or a nested array",
        None => "of another kind",
    }
}
