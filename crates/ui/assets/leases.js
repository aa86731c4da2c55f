// Leases, counting down.

import { call } from "./api.js";
import { fromBase64, keyText } from "./bytes.js";
import { button, count, h, hex, keyLink, quiet, span, table, write } from "./dom.js";

/** Leases of a page; each costs a request whenever it is looked at. */
const ROWS = 50;
/** Turns between two looks at the list. */
const LIST = 5;
/** Seconds for which a remaining time is counted on here before it is read again. */
const FRESH = 10;
/** Keys of a lease that are shown. */
const KEYS = 20;

export function open(root) {
  const summary = quiet();
  const leases = table("Leases", ["~Id", "~Remaining", "-#Granted", "Keys"]);
  const onward = h("p", { class: "bar" });
  root.append(h("h2", {}, "Leases"), summary, leases.element, onward);
  let ids = [];
  let first = 0;
  let wanted = null;
  let turns = 0;
  /** By id: the granted and the remaining seconds, when they were read, and the keys. */
  const known = new Map();

  const shownIds = () => (wanted ? [wanted] : ids.slice(first, first + ROWS));
  const now = () => performance.now() / 1000;
  const remaining = (it) => Math.max(0, it.ttl - Math.floor(now() - it.at));

  async function look(id) {
    const it = known.get(id);
    if (it && now() - it.at < FRESH && remaining(it) > 0) return;
    const answer = await call("lease/timetolive", { ID: id, keys: true });
    const ttl = Number(answer.TTL ?? 0);
    // A lease that is gone has -1.
    if (ttl < 0) known.delete(id);
    else known.set(id, { ttl, granted: Number(answer.grantedTTL ?? 0), at: now(), keys: (answer.keys ?? []).map((key) => keyText(fromBase64(key))) });
  }

  function row(id) {
    const it = known.get(id);
    if (!it) return null;
    const links = it.keys.slice(0, KEYS).map((key) => h("div", {}, keyLink(key, { prefix: key, key })));
    const rest = it.keys.length > KEYS ? quiet(`and ${count(it.keys.length - KEYS)} more`) : null;
    const left = remaining(it);
    return leases.row([
      h("span", { class: "mono" }, hex(id)),
      h("span", { class: left < 5 ? "bad" : null }, span(left), " ", h("meter", { class: "wide", min: 0, max: Math.max(it.granted, 1), value: left, "aria-label": "Remaining" })),
      span(it.granted),
      links.length > 0 ? [links, rest] : h("span", { class: "quiet" }, "none"),
    ]);
  }

  function show() {
    const rows = shownIds().map(row).filter((it) => it !== null);
    leases.show(rows, wanted ? "This lease does not exist." : "No lease.");
    const range = ids.length > ROWS && !wanted ? `, ${first + 1} to ${Math.min(first + ROWS, ids.length)} shown` : "";
    write(summary, wanted ? "One lease." : `${count(ids.length)} ${ids.length === 1 ? "lease" : "leases"}${range}.`);
  }

  function page(to) {
    first = to;
    known.clear();
    turns = 0;
    buttons();
  }

  function buttons() {
    const made = (text, to) => button(text, () => page(to));
    onward.replaceChildren(
      ...(wanted ? [h("a", { href: "#leases" }, "All leases")] : []),
      ...(!wanted && first > 0 ? [made("Previous", Math.max(0, first - ROWS))] : []),
      ...(!wanted && first + ROWS < ids.length ? [made("Next", first + ROWS)] : []),
    );
  }

  return {
    go(parameters) {
      const id = parameters.get("id") ?? "";
      wanted = /^[0-9a-f]{1,16}$/.test(id) ? BigInt(`0x${id}`).toString() : null;
      page(0);
    },
    async turn() {
      if (turns % LIST === 0) {
        ids = ((await call("lease/leases")).leases ?? []).map((it) => it.ID);
        if (first >= ids.length) first = 0;
        for (const id of known.keys()) if (!wanted && !ids.includes(id)) known.delete(id);
        buttons();
      }
      await Promise.all(shownIds().map(look));
      show();
      turns += 1;
    },
  };
}
