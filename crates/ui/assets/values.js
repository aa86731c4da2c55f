// What the bytes of a value mean.

import { seen, utf8 } from "./bytes.js";

/** What is shown of a value at most, in bytes; a longer one would hold the page up. */
const SHOWN = 64 * 1024;

/** Letters of a value in a table. */
const LINE = 120;

/** The forms in which a value can be read: its kind, then a text for each way to show it. */
export function read(bytes) {
  const text = utf8(bytes);
  const kubernetes = readKubernetes(bytes);
  const forms = {};
  if (kubernetes) forms.Decoded = kubernetes.text(SHOWN);
  const isJson = text !== null && isDocument(text);
  if (isJson) forms.Decoded = indented(text);
  if (text !== null) forms.Text = cut(text);
  const rest = bytes.length - SHOWN;
  forms.Hex = hexDump(bytes.subarray(0, SHOWN)) + (rest > 0 ? `\n... and ${rest} more bytes` : "");
  return { kind: kubernetes?.kind ?? (isJson ? "JSON" : text !== null ? "text" : "bytes"), forms };
}

const cut = (text) => lines(text.slice(0, SHOWN)) + (text.length > SHOWN ? `\n... and ${text.length - SHOWN} more letters` : "");

/** A line of a value, for a table. */
export function preview(bytes) {
  const kubernetes = readKubernetes(bytes);
  if (kubernetes) return kubernetes.kind;
  const text = utf8(bytes);
  if (text === null) return Array.from(bytes.subarray(0, 40), two).join(" ") + (bytes.length > 40 ? " ..." : "");
  return seen(text.slice(0, LINE)) + (text.length > LINE ? "..." : "");
}

const two = (byte) => byte.toString(16).padStart(2, "0");

/** A text with its lines and tabs, and everything else that cannot be seen escaped. */
const lines = (text) => text.split(/(\r?\n|\t)/).map((part, at) => (at % 2 ? part : seen(part))).join("");

function hexDump(bytes) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const letters = Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${Array.from(row, two).join(" ").padEnd(47)}  ${letters}`);
  }
  return rows.join("\n");
}

function isDocument(text) {
  if (!/^\s*[{[]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** JSON with line breaks, as much as is shown. Its tokens stay: a parsed number might come out as another one. */
function indented(text) {
  let depth = 0;
  let out = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.slice(0, SHOWN).matchAll(/"(?:[^"\\]|\\.)*"?|[[{]\s*[\]}]|[[\]{},:]|[^\s"[\]{},:]+/gs)) {
    // Deep nesting is mostly indentation.
    if (out.length > SHOWN) break;
    if ("{[".includes(token)) {
      depth += 1;
      out += token + line();
    } else if ("}]".includes(token)) {
      depth -= 1;
      out += line() + token;
    } else if (token === ",") out += token + line();
    else if (token === ":") out += ": ";
    else out += /^[[{]/.test(token) ? token[0] + token.at(-1) : token;
  }
  return lines(out.slice(0, SHOWN)) + (Math.max(out.length, text.length) > SHOWN ? "\n... and more" : "");
}

/** An object as Kubernetes stores it: `k8s`, a zero byte, and `runtime.Unknown` around the object. */
function readKubernetes(bytes) {
  if (![0x6b, 0x38, 0x73, 0].every((byte, at) => bytes[at] === byte)) return null;
  const wrapper = fieldsOf(bytes.subarray(4));
  const type = wrapper && fieldsOf(bytesOf(wrapper, 1));
  if (!type) return null;
  const [apiVersion, kind] = [textOf(type, 1), textOf(type, 2)];
  const object = fieldsOf(bytesOf(wrapper, 2)) ?? [];
  // Of every object with a name the first field is its metadata.
  const metadata = fieldsOf(bytesOf(object, 1)) ?? [];
  const [name, namespace] = [textOf(metadata, 1), textOf(metadata, 3)];
  const text = (bound) => {
    const head = [`apiVersion: ${apiVersion}`, `kind: ${kind}`, namespace && `namespace: ${namespace}`, name && `name: ${name}`];
    return [...head.filter(Boolean), "", "Fields by their numbers:", ...described(object, 0, { bound })].join("\n");
  };
  return { kind: `Kubernetes ${apiVersion} ${kind}`, text };
}

const bytesOf = (fields, number) => fields.find((field) => field.number === number && field.bytes)?.bytes ?? new Uint8Array();
const textOf = (fields, number) => seen(utf8(bytesOf(fields, number)) ?? "");

/** The fields of a protobuf message; null if the bytes are none. */
function fieldsOf(bytes) {
  const fields = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; shift < 70n && at < bytes.length; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return null;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === null || tag >> 3n === 0n || tag >> 3n > 0x1fffffffn) return null;
    const [number, kind] = [Number(tag >> 3n), Number(tag & 7n)];
    if (kind === 0) {
      const value = varint();
      if (value === null) return null;
      fields.push({ number, value });
      continue;
    }
    const length = kind === 2 ? varint() : { 1: 8n, 5: 4n }[kind];
    if (length == null || length > BigInt(bytes.length - at)) return null;
    fields.push({ number, bytes: bytes.subarray(at, at + Number(length)), isFixed: kind !== 2 });
    at += Number(length);
  }
  return fields;
}

/** Lines for the fields, until `left.bound` letters are used up. */
function described(fields, depth, left) {
  const indent = "  ".repeat(depth);
  const rows = [];
  for (const { number, value, bytes, isFixed } of fields) {
    if (left.bound <= 0) return rows;
    const row = (text) => {
      left.bound -= text.length + indent.length;
      rows.push(`${indent}${number}${text}`);
    };
    const text = bytes && !isFixed ? utf8(bytes) : null;
    const inner = bytes && !isFixed && bytes.length > 0 && depth < 16 ? fieldsOf(bytes) : null;
    if (value !== undefined) row(`: ${value}`);
    else if (text !== null && !/[\p{Cc}]/u.test(text.replace(/[\n\t]/g, ""))) row(`: ${JSON.stringify(seen(text.slice(0, 4096)))}`);
    else if (inner) {
      row(":");
      rows.push(...described(inner, depth + 1, left));
    } else row(`: ${Array.from(bytes.subarray(0, 64), two).join(" ")}${bytes.length > 64 ? " ..." : ""}`);
  }
  return left.bound <= 0 && depth === 0 ? [...rows, "... and more"] : rows;
}
