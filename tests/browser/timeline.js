// What the browser made of a timeline, left in #facts. `steps` come before this script.
(async () => {
  const facts = {};
  const leave = () => {
    const out = document.createElement("pre");
    out.id = "facts";
    out.textContent = JSON.stringify(facts);
    document.body.append(out);
  };
  try {
    const model = await window.knavTimeline.ready;
    const { state, paint, drawn } = window.knavTimeline;
    const shade = (id) => {
      const canvas = document.getElementById(id);
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const counts = {};
      for (let i = 0; i < data.length; i += 4) {
        const colour = [data[i], data[i + 1], data[i + 2]]
          .map((v) => v.toString(16).padStart(2, "0")).join("");
        counts[`#${colour}`] = (counts[`#${colour}`] ?? 0) + 1;
      }
      return counts;
    };
    const press = (key) => dispatchEvent(new KeyboardEvent("keydown", { key }));
    const see = (name) => {
      paint();
      const scroll = document.getElementById("scroll");
      facts[name] = {
        view: state.view, from: state.from, to: state.to, cursor: state.cursor,
        lanes: state.lanes.length, drawn: drawn(), selected: state.selected,
        said: document.getElementById("said").textContent,
        tall: document.getElementById("lanes").clientHeight === scroll.clientHeight,
        now: document.querySelector("a.now")?.textContent ?? "", top: scroll.scrollTop,
      };
    };
    facts.openedMs = Number(document.documentElement.dataset.openedMs);
    facts.moments = document.querySelectorAll("#moments a").length;
    facts.still = document.querySelector(".still") !== null;
    see("opened");
    facts.colours = shade("lanes");
    await window.steps?.({ model, state, press, see, facts, shade, $: (id) => document.getElementById(id) });
  } catch (error) {
    facts.error = `${error} ${error.stack}`;
  }
  leave();
})();
