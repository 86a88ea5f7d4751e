"use strict";
// The page's one script. Texts come in as data and go out as text nodes; nothing is ever parsed as HTML.
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;

  function make(tag, className, text) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  // Theme: the system's until the button says otherwise; forgotten where the browser keeps nothing for files.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = { get() { try { return localStorage.getItem("unwaver-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("unwaver-theme", value); } catch { /* not kept */ } } };
  const paint = (theme) => { root.dataset.theme = theme; };
  paint(kept.get() || (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", () => { if (!kept.get()) paint(dark.matches ? "dark" : "light"); });
  $("theme").addEventListener("click", () => {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    paint(theme);
    kept.set(theme);
  });

  // Paper has no buttons: everything folded is printed open, in light colours.
  let before = null;
  addEventListener("beforeprint", () => {
    const folded = [...document.querySelectorAll("details:not([open])")];
    before = { folded, theme: root.dataset.theme };
    folded.forEach((one) => { one.open = true; });
    paint("light");
  });
  addEventListener("afterprint", () => {
    if (!before) return;
    before.folded.forEach((one) => { one.open = false; });
    paint(before.theme);
  });

  async function unpack(id) {
    const node = $(id);
    const binary = atob(node.textContent.trim());
    const bytes = Uint8Array.from(binary, (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const value = JSON.parse(await new Response(stream).text());
    node.remove();
    return value;
  }

  const ROW = 56;
  const MASK = { prompt: 1, reasoning: 2, answer: 4 };
  const packets = new Map();
  let index = null, hits = [], at = -1, comparing = false, unmasked = false, found = "", search = 0;
  const shown = new Set();

  function packet(number) {
    if (!packets.has(number)) packets.set(number, unpack(`packet-${number}`));
    return packets.get(number);
  }
  const texts = async (row) => (await packet(Math.floor(row / index.packet)))[row % index.packet];

  function options(select, all, names) {
    select.append(new Option(all, ""), ...names.map(([value, text]) => new Option(text, value)));
  }

  // The list: only the rows in sight exist.
  const list = $("list"), spacer = $("spacer");
  function fill() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 6);
    const last = Math.min(hits.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 6);
    const rows = [];
    for (let n = first; n < last; n++) rows.push(line(n));
    spacer.replaceChildren(...rows);
  }
  function line(n) {
    const row = hits[n], node = make("div", "row");
    node.id = `row-${n}`;
    node.dataset.at = n;
    node.style.transform = `translateY(${n * ROW}px)`;
    node.setAttribute("role", "option");
    node.setAttribute("aria-selected", n === at);
    node.setAttribute("aria-posinset", n + 1);
    node.setAttribute("aria-setsize", hits.length);
    const [kind, prompt, , category] = index.prompts[index.prompt[row]];
    node.append(make("div", "", `${index.arms[index.arm[row]]} · ${index.sets[index.set[row]]}${index.unsafe[row] ? " · unsafe" : ""}`));
    const hidden = index.mask[row] & MASK.prompt && !unmasked;
    const words = hidden ? `${kind}${category ? ", " + category : ""} · masked · ${index.id[row]}` : prompt.slice(0, 160);
    const what = make("div", hidden ? "what hidden" : "what", words);
    what.dir = "auto";
    node.append(what);
    return node;
  }
  list.addEventListener("scroll", () => requestAnimationFrame(fill), { passive: true });
  new ResizeObserver(fill).observe(list);
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) choose(Number(row.dataset.at), true);
  });

  function choose(n, open) {
    if (!hits.length) return;
    at = Math.max(0, Math.min(hits.length - 1, n));
    const top = at * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    list.setAttribute("aria-activedescendant", `row-${at}`);
    if (open) $("detail").classList.add("open");
    fill();
    show();
  }

  // The chosen trace, or all arms' traces of its prompt.
  let showing = 0;
  async function show() {
    const mine = ++showing;
    if (at < 0 || !hits.length) { $("shown").replaceChildren(make("p", "absent", "No trace fits the filters.")); return; }
    const row = hits[at];
    const rows = comparing ? siblings(row) : [row];
    const entries = await Promise.all(rows.map(texts));
    if (mine !== showing) return;
    const columns = make("div", rows.length > 1 ? "columns many" : "columns");
    rows.forEach((one, n) => columns.append(reply(one, entries[n], one === row)));
    $("shown").replaceChildren(asked(row), columns);
    $("detail").scrollTop = 0;
    const mark = columns.querySelector(".chosen");
    if (mark && mark.offsetLeft + mark.offsetWidth > columns.offsetLeft + columns.clientWidth) columns.scrollLeft = mark.offsetLeft - columns.offsetLeft;
    try { history.replaceState(null, "", `#trace-${index.id[row]}`); } catch { /* files may not have it */ }
  }
  function siblings(row) {
    return index.prompt.flatMap((prompt, n) => (prompt === index.prompt[row] ? [n] : []));
  }
  function asked(row) {
    const [kind, prompt, behaviour, category, attack, source] = index.prompts[index.prompt[row]];
    const node = make("div", "asked");
    node.append(make("h4", "", "Prompt"));
    const said = [kind, category, attack && `attack ${attack}`, source].filter(Boolean).join(" · ");
    node.append(make("p", "facts", said));
    node.append(body(row, "prompt", prompt, []));
    if (behaviour && behaviour !== prompt) {
      node.append(make("h4", "", "Behaviour"), body(row, "prompt", behaviour, []));
    }
    return node;
  }
  function reply(row, [reasoning, answer, failure, block, model, verdicts, ofReasoning, ofAnswer], chosen) {
    const node = make("article", chosen ? "chosen" : "");
    node.append(make("h3", "", index.arms[index.arm[row]]));
    const [asked, written, thought] = index.tokens[row];
    const counts = [written !== null && `${written} tokens`, thought !== null && `${thought} of them reasoning`];
    const ending = index.endings[index.ending[row]];
    const words = [index.sets[index.set[row]], `ended by ${ending}`, `block ${block}`, ...counts, index.mix[row] && `${index.mix[row]} ${index.mix[row] > 1 ? "arms were" : "arm was"} trained on it`];
    node.append(make("p", "facts", words.filter(Boolean).join(" · ")));
    node.append(make("p", "facts", `${model} · ${index.id[row]}`));
    const chips = make("div", "chips");
    index.tags_of[row].forEach((tag) => chips.append(make("span", `chip ${tone(index.tags[tag])}`, index.tags[tag])));
    node.append(chips);
    if (failure) node.append(make("p", "absent", `No reply: ${failure}`));
    const quotes = (part) => verdicts.filter((v) => v[4] && (v[2] === part || v[2] === "both")).map((v) => v[4]);
    if (ofReasoning.length + ofAnswer.length) node.append(make("p", "facts", "Words underlined with dots were given to it and are not its own."));
    node.append(make("h4", "", "Reasoning"), body(row, "reasoning", reasoning, quotes("reasoning"), ofReasoning));
    node.append(make("h4", "", "Answer"), body(row, "answer", answer, quotes("answer"), ofAnswer));
    if (verdicts.length) node.append(make("h4", "", "Verdicts"));
    verdicts.forEach((v) => node.append(verdict(row, v)));
    return node;
  }
  function verdict(row, [rubric, judge, looked, label, quote, reason]) {
    const node = make("div", "verdict");
    const head = make("p");
    const said = (label || "unscored").replaceAll("+", ", ").replaceAll("_", " ");
    head.append(`${rubric}, read on the ${looked === "both" ? "whole reply" : looked}: `, make("b", "", said));
    node.append(head, make("p", "who", judge));
    const parts = looked === "both" ? ["reasoning", "answer"] : [looked];
    const masked = label !== null && parts.some((part) => hidden(row, part));
    const say = masked ? "Reason and evidence are masked with the text." : [reason, quote && `“${quote}”`].filter(Boolean).join(" — ");
    if (say) node.append(Object.assign(make("p", masked ? "absent" : "", say), { dir: "auto" }));
    return node;
  }
  const hidden = (row, part) => Boolean(index.mask[row] & MASK[part]) && !unmasked && !shown.has(`${row}:${part}`);
  function body(row, part, text, quotes, given = []) {
    if (text === null) return make("p", "absent", part === "reasoning" ? "There is no reasoning block." : "The answer was never reached.");
    if (text === "") return make("p", "absent", "Empty.");
    if (hidden(row, part)) {
      const button = make("button", "masked");
      button.type = "button";
      const why = part === "prompt" ? " of a harmful request" : ", labelled safe by no person and no model";
      const say = `${text.length.toLocaleString("en")} characters${why}`;
      button.append(make("b", "", "Masked: click, or press Enter, to show"), say);
      button.addEventListener("click", () => { shown.add(`${row}:${part}`); show(); replies(); });
      return button;
    }
    const node = make("p", "text");
    node.dir = "auto";
    marked(node, text, quotes, given);
    return node;
  }
  // Text with its quotes (and what was searched for) in marks of their own; overlapping marks become one. What was given
  // to the writer stands in a span around text and marks.
  function marked(node, text, quotes, given) {
    const spans = new Map();
    const put = (start, stop, kind) => {
      while (start < stop) {
        const around = given.find(([from, to]) => from <= start && start < to);
        const next = given.map(([from]) => from).filter((from) => from > start);
        const edge = Math.min(stop, around ? around[1] : Math.min(stop, ...next));
        if (around && !spans.has(around)) { spans.set(around, make("span", "given")); node.append(spans.get(around)); }
        const said = text.slice(start, edge);
        (around ? spans.get(around) : node).append(kind === null ? said : make("mark", kind, said));
        start = edge;
      }
    };
    const ranges = [];
    new Set(quotes).forEach((quote) => { const n = text.indexOf(quote); if (n >= 0) ranges.push([n, n + quote.length, ""]); });
    if (found) {
      const lower = text.toLowerCase();
      // Lower case may be longer (İ); then places would not agree, and nothing is marked.
      for (let n = lower.length === text.length ? lower.indexOf(found) : -1; n >= 0 && ranges.length < 200;) {
        ranges.push([n, n + found.length, "found"]);
        n = lower.indexOf(found, n + found.length);
      }
    }
    ranges.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
    let end = 0;
    ranges.forEach(([start, stop, kind]) => {
      if (stop <= end) return;
      const from = Math.max(start, end);
      put(end, from, null);
      put(from, stop, kind);
      end = stop;
    });
    put(end, text.length, null);
  }
  function tone(tag) {
    if (/^pattern: (?!none$)|: (unsafe|wrong|failed)$/.test(tag)) return "bad";
    return /: (safe|correct|passed)$/.test(tag) ? "good" : "";
  }

  // Two replies of every arm, told as briefly as a first look needs.
  async function replies() {
    const place = $("replies");
    if (!place || !index.examples.length) return;
    const grid = make("div", index.examples.length > 1 ? "grid" : "grid single");
    const cell = (className, ...nodes) => { const node = make("div", className); node.append(...nodes); grid.append(node); };
    const arms = new Set(index.examples.flatMap(([, , rows]) => rows.map(([arm]) => arm)));
    cell("corner", "");
    for (const [set, kind, rows] of index.examples) {
      const row = rows[0][1];
      cell("head", make("p", "about", `a ${kind} prompt, of ${set}`), body(row, "prompt", index.prompts[index.prompt[row]][1], []));
    }
    for (const arm of arms) {
      cell("who", arm);
      for (const [, , rows] of index.examples) {
        const found = rows.find(([name]) => name === arm);
        if (found) cell("", ...await reply_in_short(found[1])); else cell("", make("p", "absent", "No reply."));
      }
    }
    place.replaceChildren(grid);
  }
  async function reply_in_short(row) {
    const [reasoning, answer] = await texts(row);
    const said = index.tags_of[row].map((n) => index.tags[n]).filter((tag) => /^(harm \(both\)|refusal|maths|code)[ :]/.test(tag));
    const about = make("p", "about", `${said.join(" · ") || "unscored"} · `);
    const link = make("a", "", "whole reply");
    link.href = `#trace-${index.id[row]}`;
    about.append(link);
    return [about, answer === null ? body(row, "reasoning", reasoning, []) : body(row, "answer", answer, [])];
  }
  // An address within the page: a trace is chosen, whatever the filters; what is folded around a place is opened.
  async function go() {
    const wanted = /^#trace-([0-9a-f]+)$/.exec(location.hash);
    if (!wanted) {
      const place = location.hash.length > 1 && $(decodeURIComponent(location.hash.slice(1)));
      for (let one = place && place.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
      if (place) place.scrollIntoView();
      return;
    }
    if (!hits.some((row) => index.id[row] === wanted[1])) { $("filters").reset(); await filter(); }
    const place = hits.findIndex((row) => index.id[row] === wanted[1]);
    if (place >= 0) { $("traces").scrollIntoView(); choose(place, true); }
  }
  addEventListener("hashchange", go);

  // Filters; text is looked for packet by packet, so that the page stays alive.
  const chosen = (id) => $(id).value;
  async function filter() {
    const mine = ++search;
    const [arm, set, ending] = ["f-arm", "f-set", "f-ending"].map((id) => (chosen(id) === "" ? -1 : Number(chosen(id))));
    const wanted = ["f-label", "f-pattern"].map(chosen).filter(Boolean).map(Number);
    const words = chosen("f-text").trim().toLowerCase();
    const current = at >= 0 ? hits[at] : -1;
    let rows = [];
    for (let n = 0; n < index.arm.length; n++) {
      if (arm >= 0 && index.arm[n] !== arm || set >= 0 && index.set[n] !== set || ending >= 0 && index.ending[n] !== ending) continue;
      if (wanted.every((tag) => index.tags_of[n].includes(tag))) rows.push(n);
    }
    if (words) {
      const kept = [];
      const prompts = index.prompts.map((p) => `${p[1]}\n${p[2]}`.toLowerCase().includes(words));
      let told = performance.now();
      for (let n = 0; n < rows.length; n++) {
        const row = rows[n], [reasoning, answer] = await texts(row);
        if (mine !== search) return;
        const said = `${reasoning || ""}\n${answer || ""}`.toLowerCase();
        if (prompts[index.prompt[row]] || index.id[row].startsWith(words) || said.includes(words)) kept.push(row);
        if (performance.now() - told > 200) {
          $("status").textContent = `searching, ${Math.round(100 * n / rows.length)} %`;
          await new Promise((go) => setTimeout(go));
          told = performance.now();
        }
      }
      rows = kept;
    }
    if (mine !== search) return;
    hits = rows;
    found = words;
    spacer.style.height = `${hits.length * ROW}px`;
    $("status").textContent = `${hits.length.toLocaleString("en")} of ${index.arm.length.toLocaleString("en")} traces`;
    const place = hits.indexOf(current);
    if (place < 0) list.scrollTop = 0;
    at = -1;
    if (hits.length) choose(Math.max(place, 0), false); else { fill(); show(); }
  }
  let waiting = 0;
  $("filters").addEventListener("input", (event) => {
    clearTimeout(waiting);
    if (event.target.id === "f-text") waiting = setTimeout(filter, 180); else filter();
  });
  $("filters").addEventListener("submit", (event) => event.preventDefault());

  const toggles = {
    compare() { comparing = !comparing; $("compare").setAttribute("aria-pressed", comparing); show(); },
    unmask() { unmasked = !unmasked; shown.clear(); $("unmask").setAttribute("aria-pressed", unmasked); fill(); show(); replies(); },
    back() { $("detail").classList.remove("open"); list.focus(); },
    next() { choose(at + 1, false); },
    previous() { choose(at - 1, false); },
  };
  Object.entries(toggles).forEach(([id, act]) => $(id).addEventListener("click", act));

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !index) return;
    const field = event.target instanceof Element && event.target.closest("input, select, textarea");
    const inside = event.target instanceof Element && event.target.closest("#browser");
    if (event.key === "Escape") {
      if (field && field.id === "f-text" && field.value) { field.value = ""; filter(); }
      else if (field) { field.blur(); list.focus(); }
      else if (inside || $("detail").classList.contains("open")) toggles.back();
      return;
    }
    if (field) {
      if (field.id === "f-text" && (event.key === "Enter" || event.key === "ArrowDown")) { list.focus(); event.preventDefault(); }
      return;
    }
    const arrows = event.target === list;
    const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
    const acts = {
      j: toggles.next, k: toggles.previous, c: toggles.compare, u: toggles.unmask,
      "/"() { $("f-text").focus(); $("f-text").select(); $("browser").scrollIntoView({ block: "nearest" }); },
    };
    if (arrows) Object.assign(acts, {
      ArrowDown: toggles.next, ArrowUp: toggles.previous, PageDown: () => choose(at + page), PageUp: () => choose(at - page),
      Home: () => choose(0), End: () => choose(hits.length - 1),
      Enter() {
        $("detail").classList.add("open");
        const rows = comparing ? siblings(hits[at]) : [hits[at]];
        rows.forEach((row) => Object.keys(MASK).forEach((part) => shown.add(`${row}:${part}`)));
        show();
      },
    });
    if (Object.hasOwn(acts, event.key)) { event.preventDefault(); acts[event.key](); }
  });

  (async () => {
    index = await unpack("index");
    const tags = index.tags.map((text, n) => [n, text]).sort((a, b) => (a[1] < b[1] ? -1 : 1));
    const unsafe = index.tags.map((tag) => /^(harm|guard) \(both\): unsafe$/.test(tag));
    index.unsafe = index.tags_of.map((tags) => tags.some((n) => unsafe[n]));
    options($("f-arm"), "all arms", index.arms.map((text, n) => [n, text]));
    options($("f-set"), "all sets", index.sets.map((text, n) => [n, text]));
    options($("f-label"), "any", tags.filter((t) => !t[1].startsWith("pattern: ")));
    options($("f-pattern"), "any", tags.filter((t) => t[1].startsWith("pattern: ")).map(([n, t]) => [n, t.slice(9)]));
    options($("f-ending"), "any", index.endings.map((text, n) => [n, text]));
    $("browser").hidden = false;
    const address = location.hash;
    await filter();
    await replies();
    if (address) { try { history.replaceState(null, "", address); } catch { /* files may not have it */ } }
    if (address) await go();
    root.dataset.ready = "yes";
  })();
})();
