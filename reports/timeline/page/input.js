// Mouse, keys, the list of moments, the legend; and the begin of it all.

function legend() {
  const nodes = NODE_COLOURS.map((name, i) => [model.nodeStates[i], palette.of[name]]);
  const pods = POD_COLOURS.map((name, i) => [model.podStates[i], palette.of[name]]);
  const entries = { nodes, gpus: [], workloads: pods }[state.view];
  $("legend").replaceChildren(...entries.map(([text, colour]) => {
    const tile = document.createElement("canvas");
    tile.width = 18; tile.height = 12;
    const pen = tile.getContext("2d");
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 18, 12);
    const entry = document.createElement("span");
    entry.append(tile, text);
    return entry;
  }), {
    nodes: "bar: cordoned, broken bar: tainted; below: its GPUs, a colour a workload",
    gpus: "a colour a workload", workloads: "a row a member",
  }[state.view]);
}

function listMoments() {
  const items = model.moments.map((moment) => {
    const link = document.createElement("a");
    link.href = `#t=${seconds(moment.at, 1)}`;
    if (moment.kind === "fault") link.classList.add("fault");
    if (moment.bad) link.classList.add("bad");
    const time = document.createElement("time");
    time.textContent = seconds(moment.at, 10);
    const text = document.createElement("span");
    const kind = document.createElement("b");
    kind.textContent = moment.bad && moment.kind === "check" ? "✗ check " : `${moment.kind} `;
    text.append(kind, moment.text);
    link.append(time, text);
    const item = document.createElement("li");
    item.append(link);
    return item;
  });
  $("moments").replaceChildren(...items);
  $("left").textContent = model.leftOut ? `${model.leftOut} more are not listed.` : "";
}

function listen() {
  for (const view of VIEWS) $(view).onclick = () => show(view);
  $("closer").onclick = () => zoom(0.5);
  $("wider").onclick = () => zoom(2);
  $("whole").onclick = () => window_(0, model.length);
  $("fit").onclick = () => { state.fit = !state.fit; again(); };
  $("hit").onchange = (event) => { state.hitOnly = event.target.checked; again(); };
  $("filter").oninput = (event) => { state.filter = event.target.value; again(); };
  $("help").onclick = () => $("keys").showModal();
  $("moments").onclick = (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    // Also where the hash is the same already, or cannot be changed.
    event.preventDefault();
    const ms = Math.round(Number.parseFloat(link.hash.slice(3)) * 1000);
    if (ms < state.from || ms > state.to) {
      const half = (state.to - state.from) / 2;
      window_(ms - half, ms + half);
    }
    point(ms);
  };
  for (const canvas of [$("top"), $("lanes")]) mouse(canvas);
  $("scroll").onscroll = redraw;
  addEventListener("keydown", key);
  addEventListener("hashchange", follow);
  // At once: a frame later would show the old size for a moment.
  new ResizeObserver(() => { again(); paint(); }).observe($("scroll"));
  matchMedia("(prefers-color-scheme: dark)").onchange = () => {
    readPalette(); legend(); redraw();
  };
}

function mouse(canvas) {
  let held = null;
  const below = canvas.id === "lanes";
  const laneOf = (event) =>
    state.lanes[placeAt(state, $("scroll").scrollTop + event.offsetY)] ?? -1;
  canvas.onwheel = (event) => {
    if (!event.ctrlKey && !event.shiftKey && below) return;
    event.preventDefault();
    const by = event.deltaY || event.deltaX;
    zoom(by > 0 ? 1.25 : 0.8, timeOf(state, event.offsetX));
  };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    held = { x: event.offsetX, from: state.from, to: state.to, moved: false };
  };
  canvas.onpointermove = (event) => {
    if (held) {
      const by = ((held.x - event.offsetX) / (state.width - GUTTER)) * (held.to - held.from);
      held.moved ||= Math.abs(held.x - event.offsetX) > 3;
      if (held.moved) window_(held.from + by, held.to + by);
    }
    tip(event, below ? laneOf(event) : -1);
  };
  canvas.onpointerup = (event) => {
    const moved = held?.moved;
    held = null;
    if (moved) return;
    if (below && event.offsetX < GUTTER) { select(laneOf(event)); toggle(laneOf(event)); return; }
    if (below) state.selected = laneOf(event);
    point(timeOf(state, event.offsetX));
  };
  canvas.onpointerleave = () => { $("tip").textContent = ""; };
  canvas.ondblclick = (event) => zoom(0.4, timeOf(state, event.offsetX));
}

function tip(event, lane) {
  const box = $("tip");
  const t = timeOf(state, event.offsetX);
  if (event.offsetX < GUTTER || t > model.length) {
    box.textContent = lane >= 0 ? laneNames(model, state.view)[lane] : "";
  } else if (lane >= 0) {
    box.textContent = `${seconds(t, 10)} s\n${describe(lane, t)}`;
  } else {
    const reach = ((state.to - state.from) / (state.width - GUTTER)) * 5;
    const near = model.moments.filter((m) => Math.abs(m.at - t) <= reach).slice(0, 8);
    box.textContent = near.length
      ? near.map((m) => `${seconds(m.at, 10)} s ${m.text}`).join("\n") : sayAt(t);
  }
  box.style.left = `${Math.min(event.clientX + 14, innerWidth - 430)}px`;
  box.style.top = `${Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8)}px`;
}

const KEYS = {
  "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
  ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2),
  ArrowUp: () => moveSelection(-1), ArrowDown: () => moveSelection(1),
  Enter: () => toggle(state.selected), 0: () => window_(0, model.length),
  1: () => show("nodes"), 2: () => show("gpus"), 3: () => show("workloads"),
  f: () => $("fit").click(), a: () => $("hit").click(),
  n: () => nextMoment(1), p: () => nextMoment(-1),
  "/": () => $("filter").focus(), "?": () => $("keys").showModal(),
  Escape: () => { point(null); },
};

function key(event) {
  const typing = event.target instanceof HTMLInputElement && event.target.type === "search";
  if (typing && event.key === "Escape") { event.target.blur(); return; }
  const pressed = event.target instanceof HTMLButtonElement && event.key === "Enter";
  if (typing || pressed || event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

const ready = load().then((found) => {
  model = found;
  document.querySelector(".still")?.remove();
  for (const part of ["tools", "main"]) $(part).hidden = false;
  readPalette();
  state.to = model.length;
  // What was hit is what most readers come for.
  if (model.hit.workloads.size && model.workloads.length <= 200) state.view = "workloads";
  listMoments();
  listen();
  show(state.view);
  follow();
  paint();
  document.documentElement.dataset.openedMs = Math.round(performance.now());
  return model;
}).catch((error) => { $("said").textContent = `The data cannot be read: ${error}`; throw error; });
window.knavTimeline = { ready, state, again, paint, drawn: () => drawnLanes };
