// The members, and what this one does: health, alarms, rates, latencies.

import { call, page } from "./api.js";
import { count, facts, h, hex, quiet, rate, s, size, span, table, time, write } from "./dom.js";
import { History, label, parse, sum } from "./metrics.js";

/** Points of a curve, one for each turn. */
const POINTS = 180;
/** What quantiles are taken of, in seconds. */
const WINDOW = 10;
/** Turns between two looks at what changes seldom. */
const SELDOM = 5;

const FACTS = ["Health", "Version", "Revision", "Compacted at", "Keys", "Database", "Leader", "Term", "Applied", "Watchers", "Memory", "Processor", "Running for"];

const state = (isGood, text) => h("span", { class: isGood ? "good" : "bad" }, text);

const of = (name, value) => (labels) => label(labels, name) === value;
/** Calls that end: streams go on as long as their clients like. */
const isUnary = of("grpc_type", "unary");

/** The curves: title, how numbers are written, and for each line its name and its next value. */
const RATES = [
  ["Requests per second", rate, [
    ["range", (it) => it.rate("etcd_mvcc_range_total")],
    ["put", (it) => it.rate("etcd_mvcc_put_total")],
    ["delete", (it) => it.rate("etcd_mvcc_delete_total")],
    ["txn", (it) => it.rate("etcd_mvcc_txn_total")],
  ]],
  ["Changes per second", rate, [
    ["proposals committed", (it) => it.rate("etcd_server_proposals_committed_total")],
    ["watch events sent", (it) => it.rate("etcd_debugging_mvcc_events_total")],
  ]],
  ["Bytes per second, gRPC clients", size, [
    ["received", (it) => it.rate("etcd_network_client_grpc_received_bytes_total")],
    ["sent", (it) => it.rate("etcd_network_client_grpc_sent_bytes_total")],
  ]],
];

/** The lines of a histogram. */
const quantiles = (name, accepts) => [
  ["median", (it) => it.quantiles(name, [0.5], accepts)[0]],
  ["99 %", (it) => it.quantiles(name, [0.99], accepts)[0]],
];
/** The chart of one that is not there stays hidden. */
const LATENCIES = [
  ["Sync of the log", "etcd_disk_wal_fsync_duration_seconds"],
  ["Commit of the state file", "etcd_disk_backend_commit_duration_seconds"],
  ["Requests, from the proposal on", "etcd_server_request_duration_seconds"],
  ["Unary calls, as clients see them", "grpc_server_handling_seconds", isUnary],
  ["Round trips to other members", "etcd_network_peer_round_trip_time_seconds"],
].map(([title, name, accepts]) => [title, time, quantiles(name, accepts), name]);

const lines = (urls, show) => (urls ?? []).map((url) => h("div", { class: "mono" }, show(url)));

/** The page of another member. Only web addresses become links: members write what they like. */
function linked(url) {
  const isWeb = /^https?:\/\//i.test(url) && URL.canParse(url);
  return isWeb ? h("a", { href: new URL("/ui/", url).href, rel: "noreferrer noopener", target: "_blank" }, url) : url;
}

function chart([title, format, series, needs]) {
  const paths = series.map(() => s("path"));
  const values = series.map(() => h("span", {}, "-"));
  const top = h("span", { class: "quiet" });
  const points = series.map(() => []);
  const picture = s("svg", { viewBox: `0 0 ${POINTS - 1} 80`, preserveAspectRatio: "none", "aria-hidden": "true" }, paths);
  const legend = h("ul", {}, series.map(([name], at) => h("li", {}, h("span", {}, `${name} `, values[at]))));
  const element = h("figure", { hidden: needs !== undefined }, h("figcaption", {}, title, top), picture, legend);
  return {
    element,
    draw(history) {
      if (needs) element.hidden = !history.latest.has(`${needs}_bucket`);
      for (const [at, [, next]] of series.entries()) {
        points[at].push(next(history));
        if (points[at].length > POINTS) points[at].shift();
        const value = points[at].at(-1);
        write(values[at], value === null ? "-" : format(value));
      }
      const most = Math.max(...points.flat(), 0);
      write(top, most > 0 ? `up to ${format(most)}` : "");
      for (const [at, path] of paths.entries()) path.setAttribute("d", curve(points[at], most || 1));
    },
  };
}

/** The newest point is at the right; where there is no value there is no line. */
function curve(points, most) {
  const first = POINTS - points.length;
  let pen = "M";
  const steps = points.map((value, at) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const x = first + at;
    const y = 77 - (value / most) * 72;
    // A lone point is a short line.
    const step = pen === "M" ? `M${x - 0.5} ${y.toFixed(1)}L${x} ${y.toFixed(1)}` : `L${x} ${y.toFixed(1)}`;
    pen = "L";
    return step;
  });
  return steps.join("");
}

export function open(root) {
  const known = Object.fromEntries(FACTS.map((name) => [name, h("span")]));
  const members = table("Members", ["Name", "-Id", "Role", "Health", "Clients", "-Peers"]);
  const alarms = table("Alarms", ["Alarm", "Member"]);
  const curves = [...RATES, ...LATENCIES].map(chart);
  const history = new History(WINDOW);
  root.append(
    facts(known),
    h("h2", {}, "Members"), members.element,
    quiet("Health of other members is what this one sees: whether it is connected to them. The curves are this member's alone; others show theirs on their own ports."),
    h("h2", {}, "Alarms"), alarms.element,
    h("h2", {}, `Rates, last ${POINTS / 60} minutes`), h("div", { class: "charts" }, curves.slice(0, RATES.length).map((it) => it.element)),
    h("h2", {}, "Latencies"), h("div", { class: "charts" }, curves.slice(RATES.length).map((it) => it.element)),
    quiet(`The median of the last ${WINDOW} seconds, and what 99 of 100 stayed below: estimates from the buckets of histograms. With --metrics=extensive the member measures whole calls, too.`),
  );
  const says = (name, text) => write(known[name], text);
  let turns = 0;
  let list = null;
  let own = null;

  async function lookAtHealth() {
    const text = await page("health");
    let health;
    try {
      health = JSON.parse(text);
    } catch {
      health = { health: "false", reason: text.trim() };
    }
    const isGood = health.health === "true";
    known.Health.replaceChildren(state(isGood, isGood ? "healthy" : `unhealthy: ${health.reason || "no reason given"}`));
  }

  async function lookAtMembers() {
    // Without a quorum the members are those that this member knows.
    list = (await call("cluster/member/list", { linearizable: false })).members ?? [];
  }

  /** From the member's status: a list of alarms would be an entry in the log. */
  function showAlarms() {
    const rows = (own.errors ?? []).map((text) => {
      const [, id, alarm] = /^memberID:(\d+) alarm:(\w+)/.exec(text) ?? [];
      return alarms.row([h("strong", { class: "bad" }, alarm ?? text), id ? nameOf(id) : ""]);
    });
    alarms.show(rows, "None.");
  }

  const nameOf = (id) => list.find((it) => it.ID === id)?.name || hex(id);

  function healthOf(member) {
    if (member.ID === own.header.member_id) return known.Health.firstChild.cloneNode(true);
    const id = hex(member.ID);
    const active = sum(history.latest, "etcd_network_active_peers", of("Remote", id));
    if (active === null) return h("span", { class: "quiet" }, "not known");
    const [half] = history.quantiles("etcd_network_peer_round_trip_time_seconds", [0.5], of("To", id));
    return active > 0 ? state(true, `connected${half === null ? "" : `, ${time(half)}`}`) : state(false, "not connected");
  }

  function showMembers() {
    members.show(
      list.map((it) => members.row([
        h("strong", {}, it.name || "not started"), h("span", { class: "mono" }, hex(it.ID)),
        it.isLearner ? "learner" : it.ID === own.leader ? "leader" : "voter", healthOf(it), lines(it.clientURLs, linked), lines(it.peerURLs, String),
      ])),
      "None.",
    );
    const name = list.find((it) => it.ID === own.header.member_id)?.name ?? "";
    write(document.getElementById("member"), `${name} ${hex(own.header.member_id)} in cluster ${hex(own.header.cluster_id)}`);
    says("Leader", own.leader ? nameOf(own.leader) : "none");
  }

  function showMetrics() {
    const value = (name) => sum(history.latest, name);
    const shown = (name, metric, format) => says(name, value(metric) === null ? "-" : format(value(metric)));
    shown("Keys", "etcd_debugging_mvcc_keys_total", count);
    shown("Compacted at", "etcd_debugging_mvcc_compact_revision", (it) => (it > 0 ? count(it) : "never"));
    shown("Watchers", "etcd_debugging_mvcc_watcher_total", count);
    shown("Memory", "process_resident_memory_bytes", size);
    shown("Running for", "process_start_time_seconds", (it) => span(Math.max(Date.now() / 1000 - it, 0)));
    const processor = history.rate("process_cpu_seconds_total");
    says("Processor", processor === null ? "-" : `${(processor * 100).toFixed(0)} % of one`);
    for (const it of curves) it.draw(history);
  }

  return {
    go() {},
    async turn() {
      history.add(parse(await page("metrics")), performance.now() / 1000);
      showMetrics();
      const isTime = turns % SELDOM === 0;
      if (isTime) await lookAtHealth();
      own = await call("maintenance/status");
      const quota = Number(own.dbSizeQuota ?? 0);
      says("Version", own.version);
      says("Revision", count(Number(own.header.revision ?? 0)));
      says("Term", count(Number(own.raftTerm ?? 0)));
      says("Applied", count(Number(own.raftAppliedIndex ?? 0)));
      says("Database", `${size(Number(own.dbSizeInUse ?? 0))} used${quota > 0 ? ` of ${size(quota)}` : ""}, ${size(Number(own.dbSize ?? 0))} on disk`);
      if (isTime || !list) await lookAtMembers();
      showMembers();
      showAlarms();
      turns += 1;
    },
  };
}
