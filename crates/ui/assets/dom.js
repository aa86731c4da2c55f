// Elements, and how numbers are written. Keys, values and names are hostile: what is not an element becomes a text node,
// never markup.

/** An element with attributes, listeners (functions) and children. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null));
  return element;
}

/** Changes a text only if it differs, so that a selection in it survives. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const MARKS = { "#": "number", "~": "tight", "-": "wide" };

/** A table with these headings. Marks before them: `#` for numbers, `~` for a column as narrow as its texts, `-` for one that
 * gives way on narrow screens. */
export function table(label, headings) {
  const body = h("tbody");
  const marks = headings.map((heading) => ({
    class: [..."#~-"].filter((mark) => heading.slice(0, 2).includes(mark)).map((mark) => MARKS[mark]).join(" ") || null,
    text: heading.replace(/^[#~-]+/, ""),
  }));
  const head = h("thead", {}, h("tr", {}, marks.map((it) => h("th", { scope: "col", class: it.class }, it.text))));
  const row = (cells, attributes) =>
    h("tr", attributes ?? {}, cells.map((cell, at) => h("td", { class: marks[at].class }, cell ?? "")));
  const element = h("div", { class: "scroll" }, h("table", { "aria-label": label }, head, body));
  return {
    element,
    body,
    row,
    /** Shows these rows, or a text instead of them. */
    show(rows, empty) {
      replace(body, rows.length > 0 ? rows : [h("tr", {}, h("td", { colspan: headings.length, class: "quiet" }, empty))]);
    },
  };
}

/** Puts `nodes` in place of what an element has. Equal ones stay as they are, with the focus and what is selected in them. */
function replace(element, nodes) {
  const old = [...element.children];
  const focus = element.contains(document.activeElement) ? document.activeElement : null;
  const kept = nodes.map((node) => {
    const at = old.findIndex((it) => it.isEqualNode(node));
    return at < 0 ? node : old.splice(at, 1)[0];
  });
  for (const node of old) node.remove();
  let next = element.firstChild;
  for (const node of kept) {
    if (node === next) next = next.nextSibling;
    else element.insertBefore(node, next);
  }
  if (focus && !focus.isConnected) {
    const isSame = (it) => it.href === focus.href && it.textContent === focus.textContent;
    [...element.querySelectorAll("a, button")].find(isSame)?.focus({ preventScroll: true });
  }
}

/** A button that cannot be pressed again before it is done. The page shows what went wrong. */
export function button(label, action, attributes = {}) {
  const press = async () => {
    element.disabled = true;
    try {
      await action();
    } catch (error) {
      element.dispatchEvent(new CustomEvent("failure", { detail: error, bubbles: true }));
    } finally {
      element.disabled = false;
    }
  };
  const element = h("button", { type: "button", click: press, ...attributes }, label);
  return element;
}

/** A field for a prefix, in a form with buttons. */
export function prefixForm(submit, ...buttons) {
  const field = h("input", { name: "prefix", autocomplete: "off", spellcheck: "false", placeholder: "all keys" });
  const send = (event) => {
    event.preventDefault();
    submit();
  };
  return { field, form: h("form", { class: "bar", submit: send }, h("label", {}, "Prefix", field), buttons) };
}

/** Lists what is known of a thing. */
export const facts = (listed) =>
  h("dl", { class: "facts" }, Object.entries(listed).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

export const quiet = (...children) => h("p", { class: "quiet" }, children);

/** The address of the view of keys, with its parameters. */
export const toKeys = (parameters) => `#keys?${new URLSearchParams(parameters)}`;

export const keyLink = (name, parameters) => h("a", { class: "key", href: toKeys(parameters) }, name);

export const leaseLink = (id) => h("a", { class: "key", href: `#leases?id=${hex(id)}` }, hex(id));

const NUMBER = new Intl.NumberFormat("en");

export const count = (number) => NUMBER.format(number);

function scaled(number, units, step) {
  let at = 0;
  while (Math.abs(number) >= step && at < units.length - 1) {
    number /= step;
    at += 1;
  }
  const digits = number >= 100 || Number.isInteger(number) ? 0 : number >= 10 ? 1 : 2;
  return `${number.toFixed(digits)} ${units[at]}`.trim();
}

export const size = (bytes) => scaled(bytes, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);
export const rate = (number) => scaled(number, ["", "k", "M"], 1000);
export const time = (seconds) => (seconds < 1 ? scaled(seconds * 1e6, ["µs", "ms", "s"], 1000) : span(seconds));

/** A span of whole seconds, in its two largest units. */
export function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = Math.max(units.findIndex(([, length]) => seconds >= length), 0);
  const parts = [];
  let rest = seconds < 1 ? 0 : seconds;
  for (const [name, length] of seconds < 1 ? units.slice(-1) : units.slice(at, at + 2)) {
    parts.push(`${Math.floor(rest / length)} ${name}`);
    rest %= length;
  }
  return parts.join(" ");
}

/** An id as etcd's tools write it. */
export const hex = (id) => BigInt(id ?? 0).toString(16);
