/** Draws the README's picture of the comparison. It has its own background, light or dark like the reader's page. */
import type { Report, RowResult } from '../results.ts';
import { short, thousands } from '../statistics.ts';
import { escape } from './charts.ts';
import { chartStyles, colours, kindOf } from './colours.ts';

const width = 900;
const left = 330;
const room = 400;
const barHeight = 15;
/** The rows of the picture, in this order, if they were measured. */
const shown = [
  'kv-64B-64',
  'kv-64B-400',
  'arrays',
  'one-connection',
  'lock-contended',
  'lock-1000',
  'mutex-1000',
  'memory-10M',
];

export function renderSummary(report: Report): string {
  const rows = shown
    .map((name) => report.rows.find((row) => row.name === name))
    .filter((row): row is RowResult => row !== undefined && row.contestants.length > 0);
  const parts: string[] = [];
  let y = 34;
  parts.push(text(24, y, 'Dragon Lock, load test', 'title'));
  y += 20;
  const { machine, disk, startedAt, options } = report;
  const facts =
    `${startedAt.slice(0, 10)}, ${machine['cores'] ?? '?'} cores, fdatasync ${disk.p50Ms.toFixed(2)} ms; ` +
    `each side alone in turn, median of ${options.repeats} runs`;
  parts.push(text(24, y, facts, 'faint'));
  y += 18;
  for (const { title, unit, better, contestants } of rows) {
    y += 14;
    const most = Math.max(...contestants.map(({ median }) => median), Number.MIN_VALUE);
    const [firstLine, secondLine] = fold(title);
    parts.push(text(24, y + 12, firstLine, 'strong'));
    const remark = [secondLine, `${unit}${better === 'less' ? ', less is better' : ''}`].filter(
      (words) => words !== '',
    );
    remark.forEach((words, index) =>
      parts.push(text(24, y + 27 + index * 14, words, index === remark.length - 1 ? 'faint' : 'strong')),
    );
    const top = y;
    for (const { title: name, median } of contestants) {
      const length = Math.max(2, (median / most) * room);
      parts.push(
        `<rect class="${kindOf(name)}" x="${left}" y="${y}" ` +
          `width="${length.toFixed(1)}" height="${barHeight - 3}" rx="2"/>`,
      );
      parts.push(text(left + length + 6, y + 10, `${name} ${median >= 100 ? thousands(median) : short(median)}`));
      y += barHeight;
    }
    y = Math.max(y, top + 18 + remark.length * 14);
  }
  y += 18;
  const styles =
    `${colours}${chartStyles}.title{font-size:18px;font-weight:600}` +
    '.ground{fill:var(--ground);stroke:var(--line)}text.faint{fill:var(--faint)}';
  const ground = `<rect class="ground" x="0.5" y="0.5" width="${width - 1}" height="${y - 1}" rx="8"/>`;
  const size = `viewBox="0 0 ${width} ${y}" width="${width}" height="${y}"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="Dragon Lock compared">`;
  return `${head}<style>${styles}</style>${ground}${parts.join('')}</svg>\n`;
}

/** Breaks a title at the last space that leaves a line of at most 38 characters. */
function fold(title: string): [string, string] {
  if (title.length <= 38) return [title, ''];
  const at = title.lastIndexOf(' ', 38);
  return [title.slice(0, at), title.slice(at + 1)];
}

function text(x: number, y: number, content: string, kind = ''): string {
  const classes = kind === '' ? '' : ` class="${kind}"`;
  return `<text${classes} x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="start">${escape(content)}</text>`;
}
