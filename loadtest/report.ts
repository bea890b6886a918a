/** The table at the end, and the same as JSON. */
import type { DiskProbe } from './disk-probe.ts';
import type { Figure } from './scenario.ts';

export interface Report {
  readonly startedAt: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly disk: DiskProbe & { readonly directory: string };
  readonly load: { readonly seconds: number; readonly repeats: number; readonly generator: string };
  readonly scenarios: readonly ScenarioReport[];
}

export interface ScenarioReport {
  readonly name: string;
  readonly figures: readonly Figure[];
  /** Of the machine's CPU, 0 to 1, taken by processes that are not the bench's while the scenario ran. */
  readonly takenByOthers: number;
  /** It could not be measured, or what came back was wrong. */
  readonly error?: string;
}

export function renderReport(report: Report): string {
  const { machine, disk, load, scenarios } = report;
  const facts = [
    ...Object.entries(machine),
    [
      'disk',
      `fdatasync of 4 KiB: p50 ${disk.p50Ms.toFixed(3)} ms, p99 ${disk.p99Ms.toFixed(3)} ms (${disk.directory})`,
    ],
    ['runs', `${load.repeats} × ${load.seconds} s, the median is shown`],
    ['generator', load.generator],
  ];
  const width = Math.max(...facts.map(([name]) => name!.length));
  const lines = facts.map(([name, value]) => `${name!.padEnd(width)}  ${value}`);

  const rows = [['figure', 'goal', 'measured', 'met', 'CPU taken by others']];
  for (const { name, figures, takenByOthers, error } of scenarios) {
    const others = `${Math.round(takenByOthers * 100)} %`;
    for (const figure of figures) rows.push([figure.name, figure.goal ?? '', figure.measured, verdict(figure), others]);
    if (error !== undefined) rows.push([name, '', 'FAILED, see below', 'NO', others]);
  }
  lines.push('', ...table(rows), '');
  for (const { name, figures, error } of scenarios) {
    for (const figure of figures) for (const note of figure.notes ?? []) lines.push(`${figure.name}: ${note}`);
    if (error !== undefined) lines.push(`${name}: ${error}`);
  }
  return `${lines.join('\n')}\n`;
}

function verdict({ met }: Figure): string {
  return met === undefined ? '' : met ? 'yes' : 'NO';
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
