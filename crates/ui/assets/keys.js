// Keys by prefix, like folders; what a key holds, and what it held before.

import { call } from "./api.js";
import { after, endOf, fromBase64, keyText, lengthOf, parseKey, startsWith, toBase64, within } from "./bytes.js";
import { button, count, facts, h, keyLink, leaseLink, prefixForm, quiet, size, table, toKeys, write } from "./dom.js";
import { preview, read } from "./values.js";

const SLASH = 0x2f;
/** Rows of a list. */
const ROWS = 100;
/** Keys of a request; what lies in one folder is then stepped over. */
const STEP = 64;
/** A list that took more requests than this is made anew on demand alone. */
const CHEAP = 8;
/** Keys of a folder whose values are measured, and the bytes that they may have in a response. */
const SAMPLE = 16;
const SAMPLE_BYTES_MAX = 1 << 20;
/** Revisions of a key that are read at once. */
const PAST = 20;
/** Revisions of a key that a new one leaves in the history. */
const KEPT = 200;
const NOTHING = { rows: [], next: null, requests: 0, revision: "0" };

/** Where a folder within `prefix` ends that `key` lies in; null if the key lies in none. Slashes at its beginning are part of
 * its name. */
function folderOf(key, prefix) {
  let at = prefix.length;
  while (key[at] === SLASH) at += 1;
  const end = key.indexOf(SLASH, at);
  return end < 0 ? null : key.slice(0, end + 1);
}

/** A list: folders and keys below `prefix` from the key `from` on, without a look at the keys within folders. */
async function list(prefix, from) {
  const rows = [];
  let position = from;
  let requests = 0;
  for (;;) {
    const answer = await call("kv/range", { ...within(prefix, position), limit: STEP, keys_only: true });
    requests += 1;
    let folder = null;
    for (const kv of answer.kvs ?? []) {
      const key = fromBase64(kv.key);
      if (folder && startsWith(key, folder)) continue;
      if (rows.length === ROWS) return { rows, next: position, requests, revision: answer.header.revision };
      folder = folderOf(key, prefix);
      rows.push({ key: folder ?? key, isFolder: folder !== null, kv });
      position = folder ? endOf(folder) : after(key);
    }
    if (!answer.more) return { rows, next: null, requests, revision: answer.header.revision };
  }
}

const counted = async (prefix) => Number((await call("kv/range", { ...within(prefix), count_only: true })).count ?? 0);

/** The bytes of keys and values of a row: `{ bytes, isExact }`, or null if a few values are too long to be looked at. */
async function measured(row, keys) {
  const range = row.isFolder ? { ...within(row.key), limit: SAMPLE } : { key: toBase64(row.key) };
  try {
    const { kvs = [] } = await call("kv/range", range, SAMPLE_BYTES_MAX);
    const bytes = kvs.reduce((total, kv) => total + lengthOf(kv.key) + lengthOf(kv.value), 0);
    return kvs.length > 0 && keys > kvs.length ? { bytes: (bytes / kvs.length) * keys, isExact: false } : { bytes, isExact: true };
  } catch (error) {
    if (error.isTooLong) return null;
    throw error;
  }
}

export function open(root) {
  const reload = button("Reload", () => refresh());
  const measure = button("Measure sizes", () => measureAll());
  const { field, form } = prefixForm(() => (location.hash = toKeys({ prefix: keyText(parseKey(field.value)) })), h("button", {}, "Show"), reload, measure);
  const summary = quiet();
  const trail = h("p", { class: "key" });
  const keys = table("Keys", ["Key", "#Keys", "#Size", "#Modified", "-#Version", "-~Lease"]);
  const onward = h("p", {});
  const panel = h("section", { id: "key", "aria-label": "Key", hidden: true });
  root.append(
    form,
    h("div", { class: "split" }, h("section", { "aria-label": "Keys by prefix", keydown: step }, trail, summary, keys.element, onward), panel),
  );

  let prefix = null;
  let from = null;
  let opened = "";
  let shown = NOTHING;
  /** By the text of a folder: keys in it; by the text of a row: its measured size. */
  let counts = new Map();
  let sizes = new Map();
  let total = 0;
  let detail = null;

  /** Up and down between rows. */
  function step(event) {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const links = [...keys.body.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (!way || at < 0) return;
    event.preventDefault();
    links[at + way]?.focus();
  }

  async function refresh() {
    const [of, start] = [prefix, from];
    const made = await list(of, start);
    const folders = made.rows.filter((row) => row.isFolder);
    const sums = await Promise.all([counted(of), ...folders.map((row) => counted(row.key))]);
    if (of !== prefix || start !== from) return;
    shown = { ...made, requests: made.requests + sums.length };
    total = sums[0];
    counts = new Map(folders.map((row, at) => [keyText(row.key), sums[at + 1]]));
    write(reload, "Reload");
    show();
  }

  async function measureAll() {
    const found = new Map();
    sizes = found;
    await Promise.all(
      shown.rows.map(async (row) => {
        found.set(keyText(row.key), await measured(row, counts.get(keyText(row.key)) ?? 1));
        if (sizes === found) show();
      }),
    );
  }

  function sizeOf(text) {
    if (!sizes.has(text)) return "";
    const it = sizes.get(text);
    return it === null ? "long values" : `${it.isExact ? "" : "about "}${size(it.bytes)}`;
  }

  function show() {
    const base = keyText(prefix);
    const rows = shown.rows.map(({ key, isFolder, kv }) => {
      const text = keyText(key);
      const name = keyText(key.slice(prefix.length)) || text;
      const target = isFolder ? { prefix: text } : { prefix: base, key: text };
      if (!isFolder && from !== prefix) target.from = keyText(from);
      const link = keyLink(name, target);
      if (!isFolder && text === opened) link.setAttribute("aria-current", "true");
      const cells = isFolder
        ? [link, count(counts.get(text) ?? 0), sizeOf(text), "", "", ""]
        : [link, "", sizeOf(text), count(Number(kv.mod_revision)), kv.version, kv.lease ? leaseLink(kv.lease) : ""];
      return keys.row(cells);
    });
    keys.show(rows, "No key begins with this prefix.");
    const source = sizes.size > 0 ? `. Sizes of folders are estimated from ${SAMPLE} values of each.` : "";
    write(summary, `${count(total)} ${total === 1 ? "key" : "keys"} at revision ${count(Number(shown.revision))}${source}`);
    onward.replaceChildren(
      ...(from !== prefix ? [keyLink("From the beginning", { prefix: base }), " "] : []),
      ...(shown.next ? [keyLink(`Next ${ROWS} rows`, { prefix: base, from: keyText(shown.next) })] : []),
    );
  }

  /** The way to the prefix, folder by folder. */
  function showTrail() {
    const links = [keyLink("all keys", {})];
    let before = 0;
    for (let folder = folderOf(prefix, new Uint8Array()); folder; folder = folderOf(prefix, folder)) {
      links.push(keyLink(keyText(folder.slice(before)), { prefix: keyText(folder) }));
      before = folder.length;
    }
    trail.replaceChildren(...links.flatMap((link, at) => (at > 0 ? [" ", link] : [link])));
  }

  return {
    async go(parameters) {
      const wanted = parseKey(parameters.get("prefix") ?? "");
      const start = parameters.has("from") ? parseKey(parameters.get("from")) : wanted;
      const isOther = prefix === null || keyText(wanted) !== keyText(prefix) || keyText(start) !== keyText(from);
      opened = keyText(parseKey(parameters.get("key") ?? ""));
      if (isOther) {
        [prefix, sizes] = [wanted, new Map()];
        from = keyText(start) === keyText(wanted) ? wanted : start;
        field.value = keyText(prefix);
        showTrail();
        shown = NOTHING;
        keys.show([], "");
        for (const it of [summary, onward]) it.replaceChildren();
      }
      const isKey = parameters.has("key");
      if (!isKey || detail?.text !== opened) detail = isKey ? openKey(panel, parseKey(opened), () => (location.hash = toKeys({ prefix: keyText(prefix) }))) : null;
      const isOpening = isKey && panel.hidden;
      panel.hidden = !isKey;
      if (shown === NOTHING) await refresh();
      else show();
      await detail?.turn();
      if (isOpening) panel.scrollIntoView({ block: "nearest" });
    },
    /** A list that costs little follows the store; for others the button says when keys came or went. */
    async turn() {
      const now = await call("kv/range", { ...within(prefix), count_only: true, serializable: true });
      if (now.header.revision !== shown.revision) {
        if (shown.requests <= CHEAP) await refresh();
        else if (Number(now.count ?? 0) !== total) write(reload, "Reload: changed");
      }
      await detail?.turn();
    },
  };
}

/** The panel of one key. */
function openKey(panel, key, close) {
  const text = keyText(key);
  const about = h("div");
  const forms = h("p", { class: "bar" });
  const value = h("pre", { tabindex: "0", "aria-label": "Value" });
  const past = table("History", ["#Revision", "#Version", "#Size", "Value"]);
  const end = quiet();
  panel.replaceChildren(
    h("div", { class: "bar" }, h("h2", { class: "key" }, text), button("Close", close)), about,
    h("h3", {}, "Value"), forms, value, h("h3", {}, "History"), past.element, end,
  );
  const at = { key: toBase64(key) };
  let revisions = [];
  let chosen = null;
  let form = "";
  let latest = "";

  /** With the line that a value is in the table. */
  const lined = (kv) => kv && { ...kv, line: preview(fromBase64(kv.value)) || "(empty)" };

  /** The key as of a revision; null if it did not exist, `undefined` if that is compacted. */
  async function asOf(revision) {
    try {
      return lined((await call("kv/range", { ...at, revision })).kvs?.[0]) ?? null;
    } catch (error) {
      if (error.isCompacted) return undefined;
      throw error;
    }
  }

  /** Reads back from the oldest revision that is shown. */
  async function goBack() {
    for (let read = 0; read < PAST; read += 1) {
      const oldest = revisions.at(-1);
      if (oldest.version === "1") return finish(`Created at revision ${count(Number(oldest.create_revision))}; earlier lives of the key are not looked for.`);
      const before = await asOf(String(BigInt(oldest.mod_revision) - 1n));
      // What is new may have come in between.
      if (revisions.at(-1) !== oldest) return;
      if (before === undefined) return finish("What was before is compacted.");
      if (before === null) return finish("The key did not exist before.");
      revisions.push(before);
      show();
    }
    finish(button("Older", goBack));
  }

  /** Puts what is new before what is shown; false if they do not meet within a few revisions. */
  async function catchUp(newest) {
    const fresh = [newest];
    while (revisions.length > 0 && fresh.length <= PAST && fresh.at(-1).version !== "1") {
      const before = await asOf(String(BigInt(fresh.at(-1).mod_revision) - 1n));
      if (!before) break;
      if (before.mod_revision === revisions[0].mod_revision) {
        revisions = [...fresh, ...revisions];
        if (revisions.length > KEPT) {
          revisions.length = KEPT;
          finish(button("Older", goBack));
        }
        return true;
      }
      fresh.push(before);
    }
    revisions = fresh;
    return false;
  }

  const finish = (last) => end.replaceChildren(last);

  function show() {
    past.show(
      revisions.map((kv) => {
        const choose = button(kv.line, () => select(kv), { "aria-pressed": String(kv.mod_revision === chosen?.mod_revision) });
        return past.row([kv.mod_revision, kv.version, size(lengthOf(kv.value)), choose]);
      }),
      "The key does not exist.",
    );
  }

  function select(kv) {
    chosen = kv;
    const bytes = fromBase64(kv.value);
    const { kind, forms: texts } = read(bytes);
    const names = Object.keys(texts);
    if (!names.includes(form)) form = names[0];
    const lease = kv.lease ? leaseLink(kv.lease) : "none";
    about.replaceChildren(facts({ Kind: kind, Size: size(bytes.length), Modified: kv.mod_revision, Created: kv.create_revision, Version: kv.version, Lease: lease }));
    const pick = (name) => {
      form = name;
      write(value, texts[name]);
      value.className = name === "Hex" ? "dump" : "";
      for (const it of forms.children) it.setAttribute("aria-pressed", String(it.textContent === name));
    };
    forms.replaceChildren(...names.map((name) => button(name, () => pick(name))));
    pick(form);
    show();
  }

  return {
    text,
    /** Looks whether the key has changed. */
    async turn() {
      const { kvs = [] } = await call("kv/range", { ...at, keys_only: true });
      if (latest === (kvs[0]?.mod_revision ?? "none")) return;
      const kv = lined((await call("kv/range", at)).kvs?.[0]);
      latest = kv?.mod_revision ?? "none";
      if (!kv) {
        revisions = [];
        chosen = null;
        for (const it of [about, forms, value]) it.replaceChildren();
        finish("");
        show();
        return;
      }
      const follows = chosen?.mod_revision === revisions[0]?.mod_revision;
      const isDone = await catchUp(kv);
      if (follows) select(kv);
      else show();
      if (!isDone) await goBack();
    },
  };
}
