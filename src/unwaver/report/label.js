"use strict";
// The page's one script. Texts come in as data and go out as text nodes; nothing is ever parsed as HTML.
(async () => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  root.dataset.theme = dark.matches ? "dark" : "light";
  $("theme").addEventListener("click", () => { root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark"; });

  async function unpack(id) {
    const bytes = Uint8Array.from(atob($(id).textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }
  const data = await unpack("data");
  const buttons = [...document.querySelectorAll("#answers [data-label]")];
  const shown = new Set();
  let at = 0, chosen = new Set();

  // What was found, by trace: a list of labels, or null where the person could not tell. Kept by the browser.
  const found = new Map();
  const key = `unwaver-label-${data.sample}`;
  const warn = (text) => { $("warning").textContent = text; $("warning").hidden = false; };
  function keep() {
    try { localStorage.setItem(key, JSON.stringify({ reader: $("reader").value, found: [...found] })); }
    catch { warn("This browser keeps nothing: download the labels before the page is closed."); }
  }
  try {
    const before = JSON.parse(localStorage.getItem(key) || "null");
    if (before) {
      if (before.reader) $("reader").value = before.reader;
      const ids = new Set(data.traces.map((one) => one.id));
      before.found.forEach(([id, labels]) => { if (ids.has(id)) found.set(id, labels); });
    }
  } catch { warn("This browser keeps nothing: download the labels before the page is closed."); }
  $("reader").addEventListener("input", keep);

  function make(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }
  function paint() {
    const one = data.traces[at], open = shown.has(one.id);
    $("progress").textContent = `${at + 1} of ${data.traces.length} · ${found.size} labelled`;
    const labels = data.several ? chosen : new Set(found.get(one.id) || []);
    buttons.forEach((button) => {
      button.disabled = !open;
      button.setAttribute("aria-pressed", labels.has(button.dataset.label));
    });
    $("unsure").disabled = !open;
    $("unsure").setAttribute("aria-pressed", found.get(one.id) === null);
    if ($("done")) { $("done").disabled = !open; $("done").setAttribute("aria-pressed", Array.isArray(found.get(one.id))); }
    const nodes = [];
    if (open) {
      for (const [name, text] of one.texts) {
        const body = make("div", "text", text);
        body.dir = "auto";
        nodes.push(make("h3", "", name), body);
      }
      if (one.cut) nodes.push(make("p", "note", "The token limit cut this reply."));
    } else {
      const size = one.texts.reduce((sum, [, text]) => sum + text.length, 0);
      const mask = make("button", "masked", `Masked: ${size.toLocaleString("en")} characters. Click, or press space, to show the text.`);
      mask.addEventListener("click", show);
      nodes.push(mask);
    }
    $("shown").replaceChildren(...nodes);
  }
  function go(n) {
    at = Math.max(0, Math.min(data.traces.length - 1, n));
    chosen = new Set(found.get(data.traces[at].id) || []);
    paint();
    scrollTo(0, 0);
  }
  function onwards() {
    const size = data.traces.length;
    for (let step = 1; step <= size; step++) {
      if (!found.has(data.traces[(at + step) % size].id)) return go((at + step) % size);
    }
    return go(at);
  }
  function show() { shown.add(data.traces[at].id); paint(); }
  function say(labels) {
    const one = data.traces[at];
    if (!shown.has(one.id)) return;
    found.set(one.id, labels);
    keep();
    onwards();
  }
  function press(button) {
    if (!shown.has(data.traces[at].id)) return;
    const label = button.dataset.label;
    if (!data.several) { say([label]); return; }
    if (!chosen.delete(label)) chosen.add(label);
    paint();
  }
  const done = () => say(buttons.map((one) => one.dataset.label).filter((label) => chosen.has(label)));
  buttons.forEach((button) => button.addEventListener("click", () => press(button)));
  $("unsure").addEventListener("click", () => say(null));
  if ($("done")) $("done").addEventListener("click", done);

  function download() {
    const reader = $("reader").value.trim() || "A";
    const lines = data.traces.filter((one) => found.has(one.id)).map((one) => JSON.stringify({ trace: one.id, rubric: data.rubric,
      looked_at: data.part, text: one.text, labels: found.get(one.id), reader }));
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([lines.map((line) => line + "\n").join("")], { type: "application/jsonl" }));
    link.download = `labels-${reader.replace(/[^\w-]+/g, "_")}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  $("download").addEventListener("click", download);

  addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
    const pressed = event.key;
    const keys = { " ": show, "0": () => say(null), j: () => go(at + 1), ArrowRight: () => go(at + 1), k: () => go(at - 1),
      ArrowLeft: () => go(at - 1), n: onwards, d: download };
    if (data.several) keys.Enter = done;
    if (/^[1-9]$/.test(pressed) && buttons[pressed - 1]) press(buttons[pressed - 1]);
    else if (keys[pressed]) keys[pressed]();
    else return;
    event.preventDefault();
  });
  go(Math.max(0, data.traces.findIndex((one) => !found.has(one.id))));
  root.dataset.ready = "yes";
})();
