// Labelling by keyboard alone: type to search, arrows to choose, Enter accepts. Without it there are radio buttons.
const form = document.getElementById("label");
const undo = document.getElementById("undo");
const skip = document.getElementById("skip");

if (form) {
  const fieldset = form.querySelector("fieldset");
  const classes = [...form.elements.label.length ? form.elements.label : [form.elements.label]];
  const names = classes.map((radio) => radio.parentElement.textContent.trim());
  const hasZ = names.some((name) => words(name).some((word) => word.startsWith("z")));
  let found = [], active = -1, sent = false;

  const label = document.createElement("label");
  label.textContent = `${fieldset.querySelector("legend").textContent} (type to search)`;
  const search = document.createElement("input");
  const attributes = {
    type: "text", role: "combobox", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    "aria-expanded": "true", "aria-controls": "classes", "aria-autocomplete": "list", "aria-describedby": "hint",
  };
  for (const [name, value] of Object.entries(attributes)) search.setAttribute(name, value);
  label.append(search);
  const list = document.createElement("ul");
  list.id = "classes";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Classes");
  const hint = document.createElement("p");
  hint.id = "hint";
  hint.className = "quiet";
  const undoKey = hasZ ? "Ctrl+Z" : "z";
  hint.textContent = `↑ ↓ choose, Enter accepts, → skips; with nothing typed, ${undoKey} takes back what you said last.`;
  fieldset.hidden = true;
  for (const radio of classes) radio.required = false;
  fieldset.before(label, list, hint);
  for (const [key, words] of [["accept", "Enter"], ["skip", "→"], ["undo", undoKey]]) {
    const shown = document.querySelector(`kbd[data-key="${key}"]`);
    if (shown) shown.textContent = words;
  }

  function words(name) {
    return name.toLowerCase().split(/[^\p{L}\p{N}]+/u);
  }

  // those that begin with what was typed first, then those with a word that does, then those that have it anywhere
  function rank(name, typed) {
    const lower = name.toLowerCase();
    if (lower.startsWith(typed)) return 0;
    if (words(name).some((word) => word.startsWith(typed))) return 1;
    return lower.includes(typed) ? 2 : 3;
  }

  function show() {
    const typed = search.value.trim().toLowerCase();
    found = names.map((name, at) => ({at, rank: rank(name, typed)})).filter((one) => one.rank < 3);
    if (typed) found.sort((one, other) => one.rank - other.rank);
    list.replaceChildren(...found.map(({at}, place) => {
      const option = document.createElement("li");
      option.id = `class-${at}`;
      option.setAttribute("role", "option");
      option.textContent = names[at];
      option.addEventListener("mousedown", (event) => {
        event.preventDefault();  // the search keeps the focus
        activate(place);
      });
      option.addEventListener("dblclick", accept);
      return option;
    }));
    // nothing is chosen before somebody chose: Enter alone labels no row
    activate(typed && found.length ? 0 : -1);
  }

  function activate(place) {
    active = place;
    [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === place)));
    const option = list.children[place];
    if (option) search.setAttribute("aria-activedescendant", option.id);
    else search.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({block: "nearest"});
  }

  function accept() {
    if (sent || active < 0) return;
    sent = true;  // a key that is held must not label the next row
    classes[found[active].at].checked = true;
    form.requestSubmit(form.querySelector('button[value="label"]'));
  }

  function takeBack() {
    if (sent || !undo) return;
    sent = true;
    undo.requestSubmit(undo.querySelector("button"));
  }

  search.addEventListener("input", show);
  search.addEventListener("keydown", (event) => {
    const empty = search.value === "", plain = !(event.ctrlKey || event.metaKey || event.altKey);
    const isUndo = event.key === "z" && empty && (event.ctrlKey || event.metaKey || (plain && !hasZ));
    const moves = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (moves && found.length) activate((Math.max(active, moves < 0 ? 0 : -1) + moves + found.length) % found.length);
    else if (event.key === "Enter") { if (!event.repeat) accept(); }
    else if (isUndo) takeBack();
    else if (event.key === "ArrowRight" && empty && plain && skip) { if (!sent) skip.click(); sent = true; }
    else if (event.key === "Escape" && !empty) { search.value = ""; show(); }
    else return;
    event.preventDefault();
  });
  form.addEventListener("submit", (event) => {
    if (active >= 0) classes[found[active].at].checked = true;
    else if (!classes.some((radio) => radio.checked)) { event.preventDefault(); search.focus(); }
  });
  addEventListener("pageshow", () => { sent = false; });

  const chosen = classes.findIndex((radio) => radio.checked);
  show();
  if (chosen >= 0) activate(chosen);
  search.focus({preventScroll: true});
}
