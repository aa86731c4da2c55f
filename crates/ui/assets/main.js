// The frame of the page: which view is shown, its clock, errors, and the login.

import { events, hasToken, logIn, logOut } from "./api.js";
import { write } from "./dom.js";
import * as cluster from "./cluster.js";
import * as keys from "./keys.js";
import * as leases from "./leases.js";
import * as watch from "./watch.js";

const VIEWS = { cluster, keys, watch, leases };
/** The pace of everything that is live, in milliseconds. */
const TURN = 1000;

const [main, notice, form, rejection, leave] = ["view", "notice", "login", "rejection", "leave"].map((id) => document.getElementById(id));

/** What is shown, and under which name; null while a login is awaited. */
let view = null;
let name = "";
/** Works of the view that are under way. */
let works = 0;

/** Shows an error until something succeeds. The page behind it stays as it is. */
function report(error) {
  // What a view has left under way when it was closed concerns no other.
  if (error?.name !== "AbortError") write(notice, error ? error.message : "");
}

/** Where the address points to: a view and what it is to show. */
function place() {
  const [, wanted, parameters] = /^#(\w*)\??(.*)$/.exec(location.hash) ?? [];
  return [Object.hasOwn(VIEWS, wanted ?? "") ? wanted : "cluster", new URLSearchParams(parameters)];
}

function show() {
  const [wanted, parameters] = place();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${wanted}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!form.hidden) return;
  if (!view || wanted !== name) {
    close();
    [name, view] = [wanted, VIEWS[wanted].open(main)];
  }
  leave.hidden = !hasToken();
  run(() => view.go(parameters)).then(turn);
}

function close() {
  view?.close?.();
  view = null;
  main.replaceChildren();
}

/** Does something of the view that may fail, and shows whether it did. */
async function run(work) {
  const of = view;
  works += 1;
  let failure = null;
  try {
    await work();
  } catch (error) {
    failure = error;
  }
  works -= 1;
  if (of === view) report(failure);
}

/** A turn of the clock. It is left out while something is under way, and a page that cannot be seen rests. */
async function turn() {
  if (view && works === 0 && !document.hidden) await run(() => view.turn?.());
}

function askForUser(reason) {
  close();
  report(null);
  leave.hidden = true;
  form.hidden = false;
  write(rejection, reason);
  form.elements.name.focus();
}

events.addEventListener("login", ({ detail }) => {
  if (form.hidden) askForUser(detail);
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, password } = form.elements;
  try {
    await logIn(name.value, password.value);
  } catch (error) {
    write(rejection, error.message);
    return;
  }
  password.value = "";
  form.hidden = true;
  show();
});

leave.addEventListener("click", () => {
  logOut();
  askForUser("");
});

main.addEventListener("failure", ({ detail }) => report(detail));
addEventListener("hashchange", show);
document.addEventListener("visibilitychange", () => {
  view?.rest?.(document.hidden);
  turn();
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey;
  const field = main.querySelector("input");
  if (event.key === "/" && !isTyping && field) {
    event.preventDefault();
    field.focus();
    field.select();
  }
});
setInterval(turn, TURN);
show();
