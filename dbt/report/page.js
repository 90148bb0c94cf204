// Runs inside the bundle of vl-convert, which has `vegaEmbed` in scope.
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 640px)");
const printing = matchMedia("print");
const charts = JSON.parse(document.getElementById("charts").textContent);
const views = new Map();

// The page has each dataset as columns: names once, not once a row.
function rows(columns) {
  const names = Object.keys(columns);
  return names.length ? columns[names[0]].map((_, i) => Object.fromEntries(names.map((n) => [n, columns[n][i]]))) : [];
}

function chosen(section) {
  return [...section.querySelectorAll("input:checked, select")].map((c) => [c.dataset.parameter, JSON.parse(c.value)]);
}

async function draw(chart) {
  const section = document.getElementById(chart.key);
  const theme = dark.matches && !printing.matches ? "dark" : "light";
  const spec = structuredClone(chart.specs[`${theme}-${narrow.matches ? "narrow" : "wide"}`]);
  spec.datasets = Object.fromEntries(Object.entries(chart.datasets).map(([name, columns]) => [name, rows(columns)]));
  views.get(chart.key)?.finalize();
  const drawn = await vegaEmbed(section.querySelector(".chart"), spec, { actions: false, renderer: "svg", tooltip: { theme: "page" } });
  views.set(chart.key, drawn);
  for (const [parameter, value] of chosen(section)) drawn.view.signal(parameter, value);
  await drawn.view.runAsync();
  const svg = section.querySelector(".chart svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", section.querySelector(".chart").dataset.description);
}

// One after the other, also when theme and width change together.
let drawing = Promise.resolve();
function drawAll() {
  drawing = drawing.then(async () => {
    for (const chart of charts) await draw(chart);
    document.documentElement.dataset.drawn = charts.length;
  });
}

for (const chart of charts) {
  const section = document.getElementById(chart.key);
  section.addEventListener("change", () => {
    const { view } = views.get(chart.key);
    for (const [parameter, value] of chosen(section)) view.signal(parameter, value);
    view.runAsync();
  });
  section.querySelector(".unfold")?.addEventListener("click", (event) => {
    const open = section.querySelector(".chart").classList.toggle("folded") === false;
    event.target.setAttribute("aria-expanded", open);
    event.target.textContent = open ? "Show fewer" : "Show all years";
  });
}
for (const query of [dark, narrow, printing]) query.addEventListener("change", drawAll);
drawAll();
