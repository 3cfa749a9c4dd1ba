/** The page at `/`: a query box, a table and a graph, so that a person sees it work. No framework, no request elsewhere. */
export const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Cairn</title><meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
form { display: flex; gap: .5rem; flex-wrap: wrap; }
input[name=query] { flex: 1 1 24rem; font: 15px ui-monospace, monospace; padding: .5rem; }
input, select, button { padding: .5rem; font: inherit; }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; font: 13px ui-monospace, monospace; }
td { border-top: 1px solid var(--line); padding: .25rem .5rem; vertical-align: top; overflow-wrap: anywhere; }
td:last-child { text-align: right; white-space: nowrap; }
svg { width: 100%; height: 18rem; margin-top: 1rem; border: 1px solid var(--line); }
.error { color: #c33; white-space: pre-wrap; } .note { color: #a60; } small { opacity: .7; }
</style></head><body>
<h1>Cairn</h1>
<form id="f">
<input name="query" value="rate(cairn_receive_samples_total[1m])" aria-label="PromQL query" spellcheck="false" autofocus>
<select name="range" aria-label="Time range"><option value="900">15 m</option><option value="3600">1 h</option><option value="21600">6 h</option><option value="86400">1 d</option><option value="604800">7 d</option></select>
<button>Run</button></form>
<div id="notes" role="status"></div><svg id="graph" viewBox="0 0 1000 300" preserveAspectRatio="none" role="img" aria-label="Graph"></svg>
<table><tbody id="rows"></tbody></table>
<script>
const form = document.getElementById("f"), rows = document.getElementById("rows"), graph = document.getElementById("graph"), notes = document.getElementById("notes");
const colors = ["#3366cc", "#dc3912", "#ff9900", "#109618", "#990099", "#0099c6", "#dd4477", "#66aa00", "#b82e2e", "#316395"];
const name = (m) => { const { __name__ = "", ...rest } = m; return __name__ + "{" + Object.entries(rest).map(([k, v]) => k + "=" + JSON.stringify(v)).join(", ") + "}"; };
async function ask(path, params) {
  const answer = await (await fetch("api/v1/" + path, { method: "POST", body: new URLSearchParams(params) })).json();
  if (answer.status !== "success") throw new Error(answer.errorType + ": " + answer.error);
  return answer;
}
function note(text, kind) { const p = document.createElement("p"); p.className = kind; p.textContent = text; notes.append(p); }
function draw(series, from, to) {
  graph.replaceChildren();
  const values = series.flatMap((s) => s.values.map(([, v]) => Number(v))).filter(Number.isFinite);
  if (values.length === 0) return;
  let low = Math.min(...values), high = Math.max(...values);
  if (low === high) { low -= 1; high += 1; }
  series.slice(0, 50).forEach((s, i) => {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", s.values.filter(([, v]) => Number.isFinite(Number(v))).map(([t, v]) => ((t - from) / (to - from) * 1000).toFixed(1) + "," + (290 - (v - low) / (high - low) * 280).toFixed(1)).join(" "));
    line.setAttribute("fill", "none"); line.setAttribute("stroke", colors[i % colors.length]); line.setAttribute("stroke-width", "1.5"); line.setAttribute("vector-effect", "non-scaling-stroke");
    graph.append(line);
  });
  note("graph from " + low.toPrecision(4) + " to " + high.toPrecision(4), "small");
}
async function run() {
  notes.replaceChildren(); rows.replaceChildren(); graph.replaceChildren();
  const query = form.elements.query.value, to = Date.now() / 1000, from = to - Number(form.elements.range.value);
  history.replaceState(null, "", "?" + new URLSearchParams({ query, range: form.elements.range.value }));
  try {
    const instant = await ask("query", { query, time: to, limit: 200 });
    for (const text of [...(instant.warnings ?? []), ...(instant.infos ?? [])]) note(text, "note");
    const { resultType, result } = instant.data;
    const list = resultType === "vector" ? result.map((r) => [name(r.metric), r.value ? r.value[1] : ""]) : resultType === "matrix" ? result.map((r) => [name(r.metric), r.values.length + " samples"]) : [[resultType, result[1]]];
    for (const [label, value] of list) { const tr = rows.insertRow(); tr.insertCell().textContent = label; tr.insertCell().textContent = value; }
    if (list.length === 0) note("empty result", "note");
    if (resultType !== "matrix" && resultType !== "string") draw((await ask("query_range", { query, start: from, end: to, step: Math.max(1, Math.round((to - from) / 250)), limit: 50 })).data.result, from, to);
  } catch (error) { note(error.message, "error"); }
}
const url = new URLSearchParams(location.search);
for (const key of ["query", "range"]) if (url.has(key)) form.elements[key].value = url.get(key);
form.addEventListener("submit", (event) => { event.preventDefault(); run(); });
run();
</script></body></html>
`;
