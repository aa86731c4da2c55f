// The text of `/metrics`, and what two looks at it say together.

/** The samples of a text: for each name the labels and the value of each series. */
export function parse(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    if (line === "" || line[0] === "#") continue;
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    if (name === undefined) continue;
    if (!families.has(name)) families.set(name, []);
    families.get(name).push({ labels, value: Number(value.replace("Inf", "Infinity")) });
  }
  return families;
}

/** The value of one label. */
export const label = (labels, name) => new RegExp(`(?:^|,)${name}="((?:[^"\\\\]|\\\\.)*)"`).exec(labels)?.[1];

/** The sum over all series whose labels pass; null if there are none. */
export function sum(families, name, accepts = () => true) {
  const series = (families.get(name) ?? []).filter(({ labels }) => accepts(labels));
  return series.length > 0 ? series.reduce((total, { value }) => total + value, 0) : null;
}

/** The counts of a histogram by the upper bounds of its buckets, over all series whose labels pass. */
function buckets(families, name, accepts) {
  const counts = new Map();
  for (const { labels, value } of families.get(`${name}_bucket`) ?? []) {
    if (!accepts(labels)) continue;
    const bound = Number(label(labels, "le").replace("+Inf", "Infinity"));
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].sort(([a], [b]) => a - b);
}

/** Looks at `/metrics`, the newest last, for as long as `seconds`. */
export class History {
  constructor(seconds) {
    this.seconds = seconds;
    this.looks = [];
  }

  add(families, at) {
    const last = this.looks.at(-1);
    // A counter that goes down is that of another process.
    if (last && sum(families, "process_start_time_seconds") !== sum(last.families, "process_start_time_seconds")) this.looks = [];
    this.looks.push({ families, at });
    while (this.looks.length > 2 && at - this.looks[0].at > this.seconds) this.looks.shift();
  }

  get latest() {
    return this.looks.at(-1)?.families ?? new Map();
  }

  /** The increase of a counter in each second since the look before the last; null if that cannot be said. */
  rate(name, accepts) {
    const [before, now] = this.looks.slice(-2);
    if (!now) return null;
    const [low, high] = [sum(before.families, name, accepts), sum(now.families, name, accepts)];
    // A series appears with its first increase.
    return high === null ? null : Math.max(0, high - (low ?? 0)) / Math.max(now.at - before.at, 0.001);
  }

  /** Quantiles of what a histogram has got in the time of this history, between the bounds of a bucket in proportion. Null if
   * it has got nothing. */
  quantiles(name, wanted, accepts = () => true) {
    const [before, now] = [this.looks[0], this.looks.at(-1)];
    if (!now || before === now) return wanted.map(() => null);
    const low = new Map(buckets(before.families, name, accepts));
    const counts = buckets(now.families, name, accepts).map(([bound, count]) => [bound, count - (low.get(bound) ?? 0)]);
    const total = counts.at(-1)?.[1] ?? 0;
    return wanted.map((quantile) => (total > 0 ? quantileOf(counts, quantile * total) : null));
  }
}

function quantileOf(counts, rank) {
  let [floor, below] = [0, 0];
  for (const [bound, count] of counts) {
    if (count >= rank) return bound === Infinity ? floor : floor + ((bound - floor) * (rank - below)) / Math.max(count - below, 1);
    [floor, below] = [bound, count];
  }
  return floor;
}
