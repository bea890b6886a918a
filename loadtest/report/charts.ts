/**
 * Draws charts as SVG text. Colours are CSS variables of the surrounding page, so that charts are legible on light and
 * dark ground. Each mark has a number beside it, so that no information is in colour alone.
 */
import { short, thousands } from '../statistics.ts';

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** CSS class for its colour. */
  readonly kind: string;
  readonly text?: string;
}

export interface BarGroup {
  readonly title: string;
  readonly bars: readonly Bar[];
  /** Value at which to draw a dashed line. */
  readonly mark?: number;
}

const width = 860;
const labelWidth = 150;
const barHeight = 18;

/** Each group has its own scale, because readers compare within a group. @param scale one for all groups */
export function barChart(groups: readonly BarGroup[], scale?: number): string {
  let y = 0;
  const parts: string[] = [];
  const room = width - labelWidth - 110;
  for (const { title, bars, mark } of groups) {
    y += 22;
    parts.push(text(0, y, title, { anchor: 'start', kind: 'strong' }));
    y += 8;
    const top = y;
    const most = scale ?? Math.max(...bars.map(({ value }) => value), mark ?? 0, Number.MIN_VALUE);
    for (const { label, value, kind, text: shown } of bars) {
      const length = Math.max(1, Math.min(1, value / most) * room);
      parts.push(text(labelWidth - 8, y + 13, label, { anchor: 'end' }));
      parts.push(
        `<rect class="${kind}" x="${labelWidth}" y="${y}" ` +
          `width="${length.toFixed(1)}" height="${barHeight - 4}" rx="2"/>`,
      );
      parts.push(text(labelWidth + length + 6, y + 12, shown ?? number(value), { anchor: 'start' }));
      y += barHeight;
    }
    if (mark !== undefined) {
      const x = labelWidth + Math.min(1, mark / most) * room;
      parts.push(`<line class="mark" x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${top - 2}" y2="${y - 2}"/>`);
    }
  }
  return svg(y + 8, parts);
}

export interface StackedBar {
  readonly label: string;
  readonly parts: readonly { readonly label: string; readonly value: number }[];
}

/** @param unit of all values */
export function stackedBars(bars: readonly StackedBar[], unit: string): string {
  const names = [...new Set(bars.flatMap(({ parts }) => parts.map(({ label }) => label)))];
  const colour = (name: string): string => `series-${names.indexOf(name) % 8}`;
  const sum = ({ parts }: StackedBar): number => parts.reduce((total, { value }) => total + value, 0);
  const most = Math.max(...bars.map(sum), Number.MIN_VALUE);
  const left = 260;
  const room = width - left - 110;
  const parts: string[] = [];
  const legend = legendOf(names.map((name) => ({ name, kind: colour(name) })));
  let y = legend.height;
  for (const bar of bars) {
    let x = left;
    parts.push(text(left - 8, y + 14, bar.label, { anchor: 'end' }));
    for (const { label, value } of bar.parts) {
      const length = (value / most) * room;
      const shown = `${label}: ${number(value)} ${unit}`;
      parts.push(
        `<rect class="${colour(label)}" x="${x.toFixed(1)}" y="${y}" width="${length.toFixed(1)}" height="18">` +
          `<title>${escape(shown)}</title></rect>`,
      );
      if (length > 34) parts.push(text(x + length / 2, y + 13, number(value), { anchor: 'middle', kind: 'on-bar' }));
      x += length;
    }
    parts.push(text(x + 6, y + 14, `${number(sum(bar))} ${unit}`, { anchor: 'start' }));
    y += 26;
  }
  return svg(y + 4, [...legend.parts, ...parts]);
}

export interface Line {
  readonly label: string;
  readonly kind: string;
  /** [share of the requests, ms], ascending. */
  readonly points: readonly (readonly [number, number])[];
}

/** Latency by percentile. Both axes are logarithmic: each further nine takes the same width. */
export function percentileChart(lines: readonly Line[]): string {
  const shown = lines.filter(({ points }) => points.length > 0);
  const all = shown.flatMap(({ points }) => points.map(([, ms]) => ms)).filter((ms) => ms > 0);
  if (all.length === 0) return '';
  const [low, high] = [Math.floor(Math.log10(Math.min(...all))), Math.ceil(Math.log10(Math.max(...all)) + 1e-9)];
  const [left, right, top, bottom] = [80, width - 20, 34, 250];
  const xOf = (share: number): number => left + (Math.min(4, -Math.log10(1 - share)) / 4) * (right - left);
  const yOf = (ms: number): number =>
    bottom - ((Math.log10(Math.max(ms, 10 ** low)) - low) / Math.max(1, high - low)) * (bottom - top);
  const parts: string[] = [...legendOf(shown.map(({ label, kind }) => ({ name: label, kind }))).parts];
  for (let power = low; power <= high; power++) {
    const y = yOf(10 ** power);
    parts.push(`<line class="grid" x1="${left}" x2="${right}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/>`);
    parts.push(
      text(left - 6, y + 4, `${(10 ** power).toLocaleString('en-US', { maximumFractionDigits: 6 })} ms`, {
        anchor: 'end',
      }),
    );
  }
  for (const share of [0.5, 0.9, 0.99, 0.999, 0.9999]) {
    const x = xOf(share);
    parts.push(`<line class="grid" x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${top}" y2="${bottom}"/>`);
    parts.push(text(x, bottom + 16, `p${Number((share * 100).toFixed(2))}`, { anchor: 'middle' }));
  }
  for (const { label, kind, points } of shown) {
    const path = points.map(([share, ms]) => `${xOf(share).toFixed(1)},${yOf(ms).toFixed(1)}`);
    parts.push(`<polyline class="${kind}" points="${path.join(' ')}"/>`);
    for (const [share, ms] of points) {
      const what = `${label}, p${Number((share * 100).toFixed(2))}: ${short(ms)} ms`;
      parts.push(
        `<circle class="${kind}" cx="${xOf(share).toFixed(1)}" cy="${yOf(ms).toFixed(1)}" r="2.5">` +
          `<title>${escape(what)}</title></circle>`,
      );
    }
  }
  return svg(bottom + 24, parts);
}

/** Columns of a histogram, side by side. */
export function columns(values: readonly { readonly label: string; readonly value: number }[]): string {
  const [top, bottom] = [20, 150];
  const most = Math.max(...values.map(({ value }) => value), Number.MIN_VALUE);
  const step = Math.min(80, (width - 40) / Math.max(1, values.length));
  const parts = values.flatMap(({ label, value }, index) => {
    const [x, height] = [20 + index * step, (value / most) * (bottom - top)];
    return [
      `<rect class="ours" x="${(x + 4).toFixed(1)}" y="${(bottom - height).toFixed(1)}" ` +
        `width="${(step - 8).toFixed(1)}" height="${height.toFixed(1)}" rx="2"/>`,
      text(x + step / 2, bottom - height - 5, number(value), { anchor: 'middle' }),
      text(x + step / 2, bottom + 16, label, { anchor: 'middle' }),
    ];
  });
  return svg(bottom + 24, parts);
}

function legendOf(entries: readonly { name: string; kind: string }[]): { parts: string[]; height: number } {
  let [x, y] = [0, 6];
  const parts: string[] = [];
  for (const { name, kind } of entries) {
    const length = 26 + name.length * 7;
    if (x + length > width) [x, y] = [0, y + 20];
    parts.push(`<rect class="${kind}" x="${x}" y="${y}" width="12" height="12" rx="2"/>`);
    parts.push(text(x + 17, y + 11, name, { anchor: 'start' }));
    x += length;
  }
  return { parts, height: y + 24 };
}

function number(value: number): string {
  return Math.abs(value) >= 100 || Number.isInteger(value) ? thousands(value) : short(value);
}

interface TextStyle {
  readonly anchor: 'start' | 'middle' | 'end';
  /** CSS class. */
  readonly kind?: string;
}

function text(x: number, y: number, content: string, { anchor, kind = '' }: TextStyle): string {
  const classes = kind === '' ? '' : ` class="${kind}"`;
  return `<text${classes} x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escape(content)}</text>`;
}

function svg(height: number, parts: readonly string[]): string {
  return `<svg viewBox="0 0 ${width} ${Math.ceil(height)}" role="img">${parts.join('')}</svg>`;
}

export function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
