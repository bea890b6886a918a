/** Renders the tables of docs/performance.md, which stand between two marks. */
import { groups, type Group, type Report, type RowResult } from '../results.ts';
import { short } from '../statistics.ts';
import { goalLines, middleRun } from './goals-table.ts';

export const begin = '<!-- Made by npm run loadtest -- --docs from here … -->';
export const end = '<!-- … to here. -->';

export function renderMarkdown(report: Report): string {
  const { machine, disk, options, servers, startedAt, command } = report;
  const lines = [
    `Measured on ${startedAt.slice(0, 10)} by \`${command}\`: ${machine['cpu'] ?? 'an unknown CPU'}, ` +
      `${machine['cores'] ?? '?'} cores, ${machine['memory'] ?? '?'}, ${machine['kernel'] ?? '?'}, ` +
      `Node ${machine['node'] ?? '?'}; ` +
      `an \`fdatasync\` of 4 KiB takes ${disk.p50Ms.toFixed(3)} ms (p99 ${disk.p99Ms.toFixed(3)} ms). ` +
      `Each side ran ${options.repeats} times for ${options.seconds} s, in turn; ` +
      'server and generator share the machine.',
    '',
    ...table(
      ['compared with', 'version', ''],
      servers.map(({ title, version = 'not used', note }) => [title, version, note]),
    ),
    '',
    '### Goals',
    '',
    ...table(
      ['row', 'goal', 'measured', 'met', 'stretch'],
      report.rows
        .flatMap(goalLines)
        .map(({ row, goal, measured, met, stretch }) => [row.title, goal, measured, met, stretch]),
    ),
  ];
  for (const group of Object.keys(groups) as Group[]) {
    const rows = report.rows.filter((row) => row.group === group);
    if (rows.length === 0) continue;
    const head = ['row', 'Dragon Lock', 'p50 / p99', 'against', 'generator', 'CPU taken by others'];
    lines.push('', `### ${groups[group]}`, '', ...table(head, rows.map(cells)));
  }
  return `${lines.join('\n')}\n`;
}

/** Replaces the text between the marks. @throws if a mark is missing, so that nothing else is overwritten */
export function putInto(document: string, tables: string): string {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`The document lacks its marks: ${begin} and ${end}`);
  return `${document.slice(0, from)}${begin}\n\n${tables}\n${document.slice(to)}`;
}

function cells(row: RowResult): string[] {
  const [ours, ...others] = row.contestants;
  if (ours === undefined) return [row.title, `failed: ${row.error ?? ''}`, '', '', '', ''];
  const { latency, generator, extra } = middleRun(ours) ?? {};
  const megabytes = extra?.['MB/s'];
  return [
    row.title,
    `${short(ours.median)} ${row.unit}${megabytes === undefined ? '' : `, ${short(megabytes)} MB/s`}`,
    latency === undefined ? '' : `${short(latency.p50Ms)} / ${short(latency.p99Ms)} ms`,
    [
      ...others.map(({ title, ratio, median }) => `${short(ratio!)} × ${title} (${short(median)})`),
      ...(row.error === undefined ? [] : [`failed: ${row.error}`]),
    ].join(', '),
    generator === undefined ? '' : `${generator.name}: ${generator.cores.toFixed(2)} cores`,
    `${Math.round(row.takenByOthers * 100)} %`,
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((text) => text.replaceAll(/[|\n]/g, ' ')).join(' | ')} |`;
}
