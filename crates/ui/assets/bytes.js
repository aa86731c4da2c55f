// Keys and values as bytes: base64, ranges, and a text for keys that can be typed in again.

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What looks like something else, or like nothing: controls, formats (direction marks), separators of lines. */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/gu;

export const fromBase64 = (text) => Uint8Array.from(atob(text ?? ""), (letter) => letter.charCodeAt(0));

export function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** The number of bytes that a text in base64 stands for. */
export const lengthOf = (text = "") => Math.floor((text.length * 3) / 4) - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);

/** The text of bytes in UTF-8; null of others. */
export function utf8(bytes) {
  try {
    return STRICT.decode(bytes);
  } catch {
    return null;
  }
}

/** A text in which everything can be seen. */
export const seen = (text) => text.replace(UNSEEN, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);

/** The text of a key: as it is, with escapes for backslashes, for what cannot be seen, and for bytes that are no UTF-8. */
export function keyText(bytes) {
  const text = utf8(bytes);
  if (text !== null) return seen(text.replaceAll("\\", "\\\\"));
  const shown = (byte) =>
    byte === 0x5c ? "\\\\" : byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  return Array.from(bytes, shown).join("");
}

/** The key of a text. A backslash that begins no escape stands for itself. */
export function parseKey(text) {
  const parts = text.matchAll(/\\x([0-9a-f]{2})|\\u\{([0-9a-f]{1,6})\}|\\(\\)|[^\\]+|\\/giu);
  const encoder = new TextEncoder();
  const bytes = [];
  for (const [whole, byte, letter, backslash] of parts) {
    if (byte) bytes.push(parseInt(byte, 16));
    else if (letter && parseInt(letter, 16) <= 0x10ffff) bytes.push(...encoder.encode(String.fromCodePoint(parseInt(letter, 16))));
    else bytes.push(...encoder.encode(backslash ?? whole));
  }
  return Uint8Array.from(bytes);
}

/** The first key behind all that begin with `prefix`. A zero byte stands for the end of all keys. */
export function endOf(prefix) {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1;
  if (length === 0) return Uint8Array.of(0);
  const end = prefix.slice(0, length);
  end[length - 1] += 1;
  return end;
}

/** The first key behind `key`. */
export const after = (key) => Uint8Array.of(...key, 0);

/** The fields of a request for the keys from `from` on that begin with `prefix`. */
export const within = (prefix, from = prefix) => ({
  key: toBase64(from.length > 0 ? from : Uint8Array.of(0)),
  range_end: toBase64(endOf(prefix)),
});

export const startsWith = (bytes, prefix) => prefix.every((byte, at) => bytes[at] === byte) && bytes.length >= prefix.length;
