/** Renders the table at the end of a load test. */
import { groups, type Group, type Report, type RowResult } from '../results.ts';
import { short } from '../statistics.ts';
import { goalLines, middleRun } from './goals-table.ts';

export function renderTerminal(report: Report): string {
  const { machine, disk, options, servers, rows } = report;
  const facts: (readonly [string, string])[] = [
    ...Object.entries(machine),
    [
      'disk',
      `fdatasync of 4 KiB: p50 ${disk.p50Ms.toFixed(3)} ms, p99 ${disk.p99Ms.toFixed(3)} ms (${disk.directory})`,
    ],
    ['runs', `${options.repeats} × ${options.seconds} s of each side in turn; ratios are medians of neighbouring runs`],
    ...servers.map(({ title, version = 'not used', note }) => [title, `${version}; ${note}`] as const),
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  const lines = facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  for (const group of Object.keys(groups) as Group[]) {
    const ofGroup = rows.filter((row) => row.group === group);
    if (ofGroup.length > 0) lines.push('', groups[group], '', ...table([header, ...ofGroup.flatMap(cells)]));
  }
  const failed = rows.filter(({ error }) => error !== undefined);
  for (const { name, error } of failed) lines.push('', `${name} FAILED: ${error}`);
  return `${lines.join('\n')}\n`;
}

const header = ['row', 'measured', 'p50 / p99', 'generator', 'against', 'goal', 'met'];

/** Returns a line for the row, and one for each further peer or goal. */
function cells(row: RowResult): string[][] {
  const [ours, ...peers] = row.contestants;
  if (ours === undefined) return [[row.title, row.error === undefined ? '' : 'FAILED', '', '', '', '', '']];
  const goals = goalLines(row).map(({ goal, met, stretch }) => [
    goal,
    [met, stretch].filter((part) => part !== '').join('; '),
  ]);
  const against = peers.map(
    ({ title, median, ratio }) => `${short(ratio ?? Number.NaN)} × ${title} (${short(median)})`,
  );
  const { latency, generator } = middleRun(ours) ?? {};
  return Array.from({ length: Math.max(1, goals.length, against.length) }, (_, line) => [
    ...(line > 0
      ? ['', '', '', '']
      : [
          row.title,
          `${short(ours.median)} ${row.unit}`,
          latency === undefined ? '' : `${short(latency.p50Ms)} / ${short(latency.p99Ms)} ms`,
          generator === undefined ? '' : `${generator.cores.toFixed(2)} of ${generator.coresMax} cores`,
        ]),
    against[line] ?? '',
    ...(goals[line] ?? ['', '']),
  ]);
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join(' | ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('-|-');
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)];
}
