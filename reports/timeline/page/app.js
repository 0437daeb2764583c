// What the reader does: zoom, pan, filter, choose, follow links.

const VIEWS = ["nodes", "gpus", "workloads"];
const SHORTEST_MS = 20;
const state = {
  view: "nodes", from: 0, to: 1, width: 800, cursor: null, filter: "", hitOnly: false,
  fit: false, open: new Set(), selected: -1, lanes: [], tops: new Float64Array(1),
};
const $ = (id) => document.getElementById(id);
let model;
let queued = false;
let drawnLanes = 0;

function redraw() {
  if (queued) return;
  queued = true;
  requestAnimationFrame(() => { queued = false; paint(); });
}

function paint() {
  const scroll = $("scroll");
  state.width = scroll.clientWidth;
  const height = scroll.clientHeight;
  const canvas = $("lanes");
  canvas.style.height = `${height}px`;
  $("top").style.width = `${state.width}px`;
  drawTop($("top"), model, state);
  drawnLanes = drawLanes(canvas, model, state, scroll.scrollTop, height);
}

function again() {
  const height = $("scroll").clientHeight;
  layOut(model, state, height);
  // Before the next frame, so that one can scroll to a lane at once.
  $("lanes").style.height = `${height}px`;
  $("room").style.height = `${Math.max(0, state.tops[state.lanes.length] - height)}px`;
  const all = laneNames(model, state.view).length;
  $("count").textContent = `${state.lanes.length} of ${all} ${state.view}, ` +
    `${seconds(state.from, state.to - state.from < 2000 ? 10 : 100)} to ` +
    `${seconds(state.to, state.to - state.from < 2000 ? 10 : 100)} s`;
  for (const view of VIEWS) $(view).setAttribute("aria-pressed", view === state.view);
  $("fit").setAttribute("aria-pressed", state.fit);
  redraw();
}

function show(view) {
  state.view = view;
  state.selected = -1;
  $("scroll").scrollTop = 0;
  legend();
  again();
}

function zoom(factor, middle) {
  const at = middle ?? state.cursor ?? (state.from + state.to) / 2;
  window_(at - (at - state.from) * factor, at + (state.to - at) * factor);
}

/** Show a span of time, no shorter and no longer than makes sense. */
function window_(from, to) {
  const length = Math.min(Math.max(to - from, SHORTEST_MS), model.length);
  state.from = Math.max(0, Math.min(from, model.length - length));
  state.to = state.from + length;
  again();
}

function pan(share) {
  const by = (state.to - state.from) * share;
  window_(state.from + by, state.to + by);
}

/** Set the cursor and say so: in the address, to a screen reader, in the list. */
function point(ms, tell = true) {
  state.cursor = ms === null ? null : Math.max(0, Math.min(ms, model.length));
  if (tell) {
    const hash = state.cursor === null ? "#" : `#t=${seconds(state.cursor, 1)}`;
    // In a sandboxed frame, as of a report, the address cannot be changed.
    try { history.replaceState(null, "", hash); } catch { /* the cursor is there */ }
  }
  if (state.cursor !== null) $("said").textContent = sayAt(state.cursor);
  mark();
  redraw();
}

function sayAt(ms) {
  const sums = Object.keys(model.sums)
    .map((name) => `${name} ${valueAt(model.t[`sum:${name}`], ms)}`);
  const faults = model.faults.filter((f) => f.start <= ms && (f.end ?? model.length) >= ms);
  return `${seconds(ms, 10)} seconds: ${[...sums, ...faults.map((f) => f.name)].join(", ")}`;
}

/** Mark in the list the last moment that is not after the cursor. */
function mark() {
  document.querySelector("a.now")?.classList.remove("now");
  if (state.cursor === null) return;
  const link = $("moments").querySelectorAll("a")[momentAt(state.cursor)];
  link?.classList.add("now");
  link?.scrollIntoView({ block: "nearest" });
}

function momentAt(ms) {
  let found = -1;
  model.moments.forEach((m, i) => { if (m.at <= ms + 1) found = i; });
  return found;
}

/** Go where the address says: `#t=12.3`, also with `&view=gpus` and `&lane=name`. */
function follow() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const view = asked.get("view");
  if (VIEWS.includes(view) && view !== state.view) show(view);
  const lane = asked.get("lane");
  if (lane) select(laneNames(model, state.view).indexOf(lane));
  const t = Number.parseFloat(asked.get("t"));
  if (!Number.isFinite(t)) return;
  const ms = Math.round(t * 1000);
  const near = Math.max(10_000, model.length / 50);
  if (ms < state.from || ms > state.to || state.to - state.from > 4 * near) {
    window_(ms - near / 2, ms + near / 2);
  }
  point(ms, false);
}

function select(lane) {
  state.selected = lane;
  const place = state.lanes.indexOf(lane);
  if (place < 0) return redraw();
  const scroll = $("scroll");
  const [top, bottom] = [state.tops[place], state.tops[place + 1]];
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  else if (bottom > scroll.scrollTop + scroll.clientHeight) {
    scroll.scrollTop = bottom - scroll.clientHeight;
  }
  $("said").textContent = describe(lane, state.cursor ?? state.from);
  redraw();
}

function moveSelection(by) {
  if (!state.lanes.length) return;
  const place = state.lanes.indexOf(state.selected) + by;
  select(state.lanes[Math.max(0, Math.min(place, state.lanes.length - 1))]);
}

function nextMoment(by) {
  const ms = state.cursor ?? state.from;
  const later = by > 0
    ? model.moments.find((m) => m.at > ms + 1)
    : model.moments.findLast((m) => m.at < ms - 1);
  if (!later) return;
  if (later.at < state.from || later.at > state.to) {
    const half = (state.to - state.from) / 2;
    window_(later.at - half, later.at + half);
  }
  point(later.at);
}

function toggle(lane) {
  if (state.view !== "workloads" || lane < 0) return;
  if (!state.open.delete(lane)) state.open.add(lane);
  again();
}

/** Return what is on a lane at a moment, in words. */
function describe(lane, ms, member = -1) {
  const name = laneNames(model, state.view)[lane];
  const lines = [name + (groupOf(model, state.view, lane) ? `, ${groupOf(model, state.view, lane)}` : "")];
  const within = (table, row) => table.start[row] <= ms && table.end[row] > ms;
  const each = (index, table, say) => {
    for (let i = index.from[lane]; i < index.from[lane + 1]; i++) {
      const row = index.rows[i];
      if (within(table, row) && lines.length < 12) {
        const span = `${seconds(table.start[row])} to ${seconds(table.end[row])} s`;
        lines.push(`${say(row)}, ${span}`);
      }
    }
  };
  const { nodes, gpus, pods } = model.t;
  if (state.view === "nodes") {
    each(model.nodeRows, nodes, (row) => model.nodeStates[nodes.state[row]] ?? "");
    const { from, rows } = model.gpusOf;
    const owners = new Map();
    for (let i = from[lane]; i < from[lane + 1]; i++) {
      const index = model.gpuRows;
      for (let k = index.from[rows[i]]; k < index.from[rows[i] + 1]; k++) {
        const row = index.rows[k];
        if (!within(gpus, row)) continue;
        const who = model.workloads[gpus.workload[row]];
        owners.set(who, (owners.get(who) ?? 0) + 1);
      }
    }
    for (const [who, count] of owners) lines.push(`${count} GPUs: ${who}`);
  } else if (state.view === "gpus") {
    each(model.gpuRows, gpus, (row) => `${model.workloads[gpus.workload[row]]}: ${model.pods[gpus.pod[row]]}`);
  } else {
    each(model.podRows, pods, (row) => member >= 0 && pods.member[row] !== member ? "" : podText(row));
  }
  for (const number of model.hit[state.view].get(lane) ?? []) {
    const fault = model.faults[number];
    if (fault.start <= ms && (fault.end ?? model.length) >= ms) lines.push(`⚡ ${fault.name}`);
  }
  return lines.filter((line) => !line.startsWith(", ")).join("\n");
}

function podText(row) {
  const { pods } = model.t;
  const node = pods.node[row] < 0 ? "" : ` on ${model.nodes[pods.node[row]]}`;
  return `${model.pods[pods.pod[row]]}: ${model.podStates[pods.state[row]]}${node}`;
}
