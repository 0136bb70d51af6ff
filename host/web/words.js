// Times and numbers in words.

/** `0.4 ms`, `12 ms`, `3.2 s`, `4 min`. */
export function milliseconds(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return span(ms);
}

/** A longer time, to one part: `45 s`, `12 min`, `3 h`, `2 d`. */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** The time of day. */
export function clock(iso) {
  return new Date(iso).toLocaleTimeString([], { hour12: false });
}

/** `1 session`, `2 sessions`. */
export function counted(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

/** How far the server's clock is ahead of the browser's. */
let ahead = 0;

/** Sets the clock by the server's. */
export function setClock(iso) {
  ahead = Date.parse(iso) - Date.now();
}

/** The server's present, in milliseconds. */
export const now = () => Date.now() + ahead;

/** How long ago that was: `just now`, `12 s`, and the time of day after an hour. */
export function ago(ms) {
  const past = now() - ms;
  if (past < 2000) return "just now";
  return past < 3_600_000 ? `${span(past)} ago` : clock(new Date(ms).toISOString());
}
