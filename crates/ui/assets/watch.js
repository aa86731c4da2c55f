// Changes as they come.

import { watch } from "./api.js";
import { fromBase64, keyText, lengthOf, parseKey, within } from "./bytes.js";
import { button, count, h, keyLink, prefixForm, size, table, write } from "./dom.js";
import { preview } from "./values.js";

/** Events that are shown; older ones are forgotten. */
const SHOWN = 200;
/** Milliseconds between two looks of the table. */
const PACE = 1000;

export function open(root) {
  const toggle = button("Start", () => void (stream ? stop("Stopped.") : start()));
  const { field, form } = prefixForm(start, toggle, button("Clear", clear));
  const state = h("p", { class: "quiet", role: "status" }, "Not watching.");
  const events = table("Events", ["#Revision", "~Change", "Key", "-#Version", "-#Size", "Value"]);
  root.append(form, state, events.element);

  /** What ends the stream that is open; null if there is none. */
  let stream = null;
  /** The newest first. */
  let recent = [];
  /** The bytes that all watched keys begin with. */
  let watched = null;
  let seen = 0;
  let timer = null;
  let last = -Infinity;
  /** Whether the watch goes on when the page can be seen again. */
  let isResting = false;
  show();

  function clear() {
    [recent, seen] = [[], 0];
    show();
  }

  function show() {
    timer = null;
    last = performance.now();
    events.show(recent.map(row), "No event yet.");
    if (stream) write(state, `Watching ${where()}. ${count(seen)} ${seen === 1 ? "event" : "events"}${seen > recent.length ? `, the last ${SHOWN} shown` : ""}.`);
  }

  const where = () => (watched.length === 0 ? "all keys" : `keys that begin with ${keyText(watched)}`);

  /** Shows what has come, soon. */
  function showLater() {
    timer ??= setTimeout(show, Math.max(0, last + PACE - performance.now()));
  }

  const keep = (made) => (recent = [...made, ...recent].slice(0, SHOWN));

  /** The cells of an event. Its value, which may be long, is let go. */
  function cells({ type = "PUT", kv }) {
    const put = type === "PUT" && [kv.version, size(lengthOf(kv.value)), preview(fromBase64(kv.value)) || "(empty)"];
    return [kv.mod_revision, put ? "put" : "delete", keyText(fromBase64(kv.key)), ...(put || ["", "", ""])];
  }

  function row(event) {
    if (!event) return events.row(["", "pause", "Changes while the page was hidden are not shown.", "", "", ""]);
    const [revision, change, key, version, bytes, value] = event;
    return events.row([revision, change, keyLink(key, { prefix: key, key }), version, bytes, h("span", { class: "mono" }, value)]);
  }

  function receive(response) {
    if (response.canceled) {
      throw new Error(response.cancel_reason || `the history up to revision ${response.compact_revision} is compacted`);
    }
    const made = response.events ?? [];
    seen += made.length;
    keep(made.slice(-SHOWN).map(cells).reverse());
    if (made.length > 0) showLater();
    else if (response.created) show();
  }

  async function start(prefix = parseKey(field.value)) {
    stop("");
    watched = prefix;
    const mine = (stream = new AbortController());
    write(toggle, "Stop");
    write(state, "Connecting.");
    let end = "The member ended the watch.";
    try {
      await watch(within(watched), receive, mine.signal);
    } catch (error) {
      end = `The watch ended: ${error.message}`;
    }
    // Another stream may have taken its place.
    if (stream === mine) stop(end);
  }

  function stop(text) {
    stream?.abort();
    stream = null;
    if (timer !== null) {
      clearTimeout(timer);
      show();
    }
    write(toggle, "Start");
    write(state, text);
  }

  return {
    go(parameters) {
      if (!parameters.has("prefix")) return;
      field.value = keyText(parseKey(parameters.get("prefix")));
      start();
    },
    /** A page that cannot be seen watches nothing. */
    rest(isHidden) {
      if (isHidden && stream) {
        isResting = true;
        stop("Paused while the page is hidden.");
      } else if (!isHidden && isResting) {
        isResting = false;
        keep([null]);
        start(watched);
      }
    },
    close: () => stop(""),
  };
}
