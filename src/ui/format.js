/** How numbers, times and names are written. */

const whole = new Intl.NumberFormat('en');
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function count(value) {
  return whole.format(Math.round(value ?? 0));
}

/** A rate, or anything that may be small. */
export function amount(value = 0) {
  if (value >= 100) return whole.format(Math.round(value));
  return value === 0 ? '0' : value < 10 ? String(Math.round(value * 100) / 100) : String(Math.round(value * 10) / 10);
}

export function bytes(value = 0) {
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 90) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  if (hours < 48) return `${Math.floor(hours)} h ${Math.round(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${Math.round(hours % 24)} h`;
}

/** `4 min ago`, `in 20 s`. */
export function relative(ms, now) {
  const away = ms - now;
  return away > 0 ? `in ${duration(away)}` : `${duration(-away)} ago`;
}

export function exact(ms) {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', ' UTC');
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
}

/** Characters that show nothing, or change how others are shown, and so could make one name look like another. */
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const odd =
  /^ +| +$|[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff]/g;

/** Takes a name apart: pieces as they are, and code points of characters that cannot be seen. */
export function visible(text) {
  const pieces = [];
  let from = 0;
  for (const { index, 0: character } of text.matchAll(odd)) {
    if (index > from) pieces.push({ text: text.slice(from, index) });
    pieces.push({ odd: character[0] === ' ' ? '␣'.repeat(character.length) : `⟨${hexOf(character)}⟩` });
    from = index + character.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}

function hexOf(character) {
  return character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
}

/** JSON text in which nothing is hidden: the same value, with escapes for what cannot be seen. */
export function visibleJson(text) {
  return text.replaceAll(odd, (found) =>
    found === '\n' || found.startsWith(' ') ? found : `\\u${hexOf(found).toLowerCase()}`,
  );
}

export function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.ceil(most * 0.7))}…${text.slice(-Math.floor(most * 0.25))}`;
}

/** One line of what a holder has said about itself. */
export function metaText(meta) {
  if (meta === undefined) return '';
  return shortened(typeof meta === 'string' ? meta : JSON.stringify(meta), 160);
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
