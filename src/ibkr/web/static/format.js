// Formats times, durations and numbers, and makes elements.

const two = (number) => String(number).padStart(2, "0");

export const byId = (id) => document.getElementById(id);

// Writes only a changed text: a screen reader reads everything that is written.
export function setText(id, text) {
  const target = byId(id);
  if (target.textContent !== text) target.textContent = text;
}

export function clock(moment, withSeconds = true) {
  const text = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  return withSeconds ? `${text}:${two(moment.getSeconds())}` : text;
}

export function dateAndTime(moment) {
  const isToday = moment.toDateString() === new Date().toDateString();
  if (isToday) return clock(moment);
  return `${moment.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short" })}, ${clock(moment)}`;
}

export function duration(seconds) {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days ${hours % 24} h`;
}

export function forDuration(seconds) {
  return seconds < 1 ? "just now" : `for ${duration(Math.floor(seconds))}`;
}

export function milliseconds(seconds) {
  const value = seconds * 1000;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

export function shortNumber(number) {
  if (number < 10_000) return String(number);
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (number >= size) return `${(number / size).toPrecision(3)} ${unit}`;
  }
  return String(number);
}

export function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
