/** Renders one self-contained HTML file, which can be mailed and read offline. */
import { groups, type ContestantResult, type Group, type Report, type RowResult } from '../results.ts';
import { short } from '../statistics.ts';
import { barChart, columns, escape, percentileChart, stackedBars } from './charts.ts';
import { chartStyles, colours, kindOf } from './colours.ts';
import { goalLines, middleRun } from './goals-table.ts';

const styles = `${colours}${chartStyles}
body{margin:0 auto;max-width:1100px;padding:24px;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:36px 0 8px}h3{font-size:15px;margin:18px 0 4px}
p.faint,.faint{color:var(--faint)}table{border-collapse:collapse;width:100%;font-size:13.5px}
th,td{text-align:left;padding:5px 8px;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--faint);font-weight:600}
td.number,th.number{text-align:right}td.number{font-variant-numeric:tabular-nums;white-space:nowrap}
.yes{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}
details{border:1px solid var(--line);border-radius:6px;margin:6px 0;background:var(--card)}
summary{cursor:pointer;padding:8px 12px}
details>div{padding:0 14px 12px}summary .value{float:right;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block;margin:6px 0}.scroll{overflow-x:auto}
@media print{details>div{display:block}}`;

export function renderHtml(report: Report): string {
  const { startedAt, machine, disk, options, command, seconds } = report;
  const facts = [
    `${startedAt.slice(0, 16).replace('T', ' ')} UTC, ${Math.round(seconds)} s`,
    ...['cpu', 'cores', 'memory', 'kernel', 'node'].map((name) => `${name} ${machine[name] ?? 'unknown'}`),
    `fdatasync of 4 KiB ${disk.p50Ms.toFixed(3)} ms (p99 ${disk.p99Ms.toFixed(3)} ms)`,
    `${options.repeats} runs of ${options.seconds} s of each side in turn`,
  ];
  const body = [
    '<h1>Dragon Lock: load test</h1>',
    `<p class="faint">${facts.map(escape).join(' · ')}<br><code>${escape(command)}</code></p>`,
    serversTable(report),
    goalsSection(report),
    ratiosSection(report),
    throughputSection(report),
    latencySection(report),
    cpuSection(report),
    groupCommitSection(report),
    ...(Object.keys(groups) as Group[]).map((group) => groupSection(report, group)),
  ];
  const meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">';
  const head = `<head>${meta}<title>Dragon Lock: load test</title><style>${styles}</style></head>`;
  return `<!doctype html><html lang="en">${head}<body>${body.join('\n')}</body></html>\n`;
}

function serversTable({ servers }: Report): string {
  const rows = servers.map(({ title, version = 'not used', note }) => [title, version, note].map(cell).join(''));
  return section('', table(['compared with', 'version', ''], rows));
}

function goalsSection(report: Report): string {
  const lines = report.rows.flatMap(goalLines);
  if (lines.length === 0) return '';
  const rows = lines.map(
    ({ row, goal, measured, met, stretch }) =>
      cell(row.title) + cell(goal) + cell(measured) + verdictCell(met) + cell(stretch),
  );
  const met = lines.filter(({ met }) => met === 'yes').length;
  const bounds = lines.filter(({ goal }) => goal !== '').length;
  return section(
    'Goals',
    `<p>${met} of ${bounds} met. Ratios: ours divided by theirs, ` +
      `median of ${report.options.repeats} neighbouring runs.</p>` +
      table(['row', 'goal', 'measured', 'met', 'stretch'], rows),
  );
}

/** The dashed line of each chart is a ratio of 1. */
function ratiosSection({ rows }: Report): string {
  const charts = rows.flatMap((row) => {
    const bars = row.contestants
      .filter(({ ratio }) => ratio !== undefined)
      .map(({ title, ratio }) => ({
        label: `to ${title}`,
        value: ratio!,
        kind: kindOf(title),
        text: `${short(ratio!)} ×`,
      }));
    return bars.length === 0
      ? []
      : [{ title: `${row.title}${row.better === 'less' ? ' (less is better)' : ''}`, bars, mark: 1 }];
  });
  if (charts.length === 0) return '';
  return section(
    'Ratios',
    `<p class="faint">Our figure divided by theirs. The dashed line is 1, where both are equal.</p>${barChart(charts)}`,
  );
}

function throughputSection({ rows }: Report): string {
  const charts = rows
    .filter(({ better, contestants, group }) => better === 'more' && contestants.length > 0 && group !== 'seed')
    .map(({ title, unit, contestants }) => ({
      title: `${title}, ${unit}`,
      bars: contestants.map(({ title: label, median }) => ({ label, value: median, kind: kindOf(label) })),
    }));
  return charts.length === 0 ? '' : section('Throughput', barChart(charts));
}

function latencySection({ rows }: Report): string {
  const open = rows.filter(({ group, contestants }) => group === 'latency' && contestants.length > 0);
  if (open.length === 0) return '';
  const parts = open.map(
    (row) => `<h3>${escape(row.title.replace(/: p99$/, ''))}</h3>${latencyTable(row)}${latencyChart(row)}`,
  );
  return section(
    'Latency at fixed arrival rates',
    `<p class="faint">${escape(open[0]?.note ?? '')}: a stall counts for every request that it delays.</p>` +
      parts.join(''),
  );
}

function latencyTable({ contestants }: RowResult): string {
  const rows = contestants.map((contestant) => {
    const { latency, requests = 0, seconds = 1, generator } = middleRun(contestant) ?? {};
    const figures = [ms(latency?.p50Ms), ms(latency?.p99Ms), ms(latency?.p999Ms), ms(latency?.maxMs)];
    const answered = `${Math.round(requests / seconds).toLocaleString('en-US')}/s`;
    return cell(contestant.title) + [...figures, answered, ms(generator?.lateP99Ms)].map(numberCell).join('');
  });
  return table(['', 'p50', 'p99', 'p99.9', 'most', 'answered', 'sent late, p99'], rows);
}

function ms(value: number | undefined): string {
  return value === undefined ? '' : `${short(value)} ms`;
}

function latencyChart({ contestants }: RowResult): string {
  return percentileChart(
    contestants.map((contestant) => ({
      label: contestant.title,
      kind: kindOf(contestant.title),
      points: middleRun(contestant)?.latency?.points ?? [],
    })),
  );
}

function cpuSection({ rows }: Report): string {
  const compared = rows.filter(({ group }) => group === 'goals');
  const bars = (compared.length > 0 ? compared : rows).flatMap(({ name, contestants }) => {
    const run = contestants[0] === undefined ? undefined : middleRun(contestants[0]);
    if (run?.server === undefined || run.requests === 0) return [];
    const { server, requests, generator, seconds } = run;
    const parts = server.byThread.map(([label, micros]) => ({ label, value: micros / requests }));
    const load =
      generator === undefined ? [] : [{ label: 'generator', value: (generator.cores * seconds * 1e6) / requests }];
    return [{ label: name, parts: [...parts.filter(({ value }) => value >= 0.2), ...load] }];
  });
  if (bars.length === 0) return '';
  return section(
    'CPU by thread',
    `<p class="faint">µs a request of our server, and of the generator.</p>${stackedBars(bars.slice(0, 30), 'µs')}`,
  );
}

function groupCommitSection({ rows }: Report): string {
  const row = rows.find(({ contestants }) => (contestants[0]?.runs[0]?.groupCommit?.syncs ?? 0) > 0);
  if (row === undefined) return '';
  return section('Group commit', `<p class="faint">${escape(row.title)}</p>${groupCommitChart(row.contestants[0]!)}`);
}

/** Draws how many writes shared an fdatasync. */
function groupCommitChart(contestant: ContestantResult): string {
  const commit = middleRun(contestant)?.groupCommit;
  if (commit === undefined) return '';
  const { syncs, records, meanSyncMs, sizes } = commit;
  let below = 0;
  const values = sizes.map(([upTo, count]) => {
    const label = upTo === below + 1 ? String(upTo) : upTo >= Number.MAX_SAFE_INTEGER ? `> ${below}` : `≤ ${upTo}`;
    below = upTo;
    return { label, value: count };
  });
  const facts = `${short(records / syncs)} records a commit, mean fdatasync ${short(meanSyncMs)} ms`;
  return `<p>${escape(`${facts}; commits by records:`)}</p>${columns(values)}`;
}

function groupSection(report: Report, group: Group): string {
  const rows = report.rows.filter((row) => row.group === group);
  return rows.length === 0 ? '' : section(groups[group], rows.map(rowDetails).join(''));
}

function rowDetails(row: RowResult): string {
  const [ours] = row.contestants;
  if (ours === undefined) {
    const summary = `${escape(row.title)}<span class="value no">failed</span>`;
    return `<details open><summary>${summary}</summary><div>${escape(row.error ?? '')}</div></details>`;
  }
  const ratios = row.contestants.slice(1).map(({ title, ratio }) => `${short(ratio!)} × ${title}`);
  const value = `${short(ours.median)} ${row.unit}${ratios.length > 0 ? ` (${ratios.join(', ')})` : ''}`;
  const runs = row.contestants.flatMap((contestant) =>
    contestant.runs.map((run, index) => {
      const { value, latency, server, generator, requests } = run;
      const ratio = contestant.ratios?.[index];
      return (
        cell(contestant.title) +
        numberCell(short(value)) +
        numberCell(ratio === undefined ? '' : `${short(ratio)} ×`) +
        numberCell(requests.toLocaleString('en-US')) +
        numberCell(latency === undefined ? '' : `${short(latency.p50Ms)} / ${short(latency.p99Ms)} ms`) +
        numberCell(server === undefined ? '' : server.cores.toFixed(2)) +
        cell(generator === undefined ? '' : `${generator.name}: ${generator.cores.toFixed(2)} of ${generator.coresMax}`)
      );
    }),
  );
  const head = ['', row.unit, 'ratio', 'requests', 'p50 / p99', 'server cores', 'generator cores'];
  const extra = Object.entries(middleRun(ours)?.extra ?? {}).map(([name, figure]) => `${name}: ${short(figure)}`);
  const parts = [
    row.error === undefined ? '' : `<p class="no">${escape(row.error)}</p>`,
    row.note === undefined ? '' : `<p class="faint">${escape(row.note)}</p>`,
    table(head, runs),
    extra.length === 0 ? '' : `<p>${extra.map(escape).join(' · ')}</p>`,
    `<p class="faint">${Math.round(row.takenByOthers * 100)} % of the machine's CPU went to other processes.</p>`,
    row.group === 'latency' ? '' : latencyChart(row),
    groupCommitChart(ours),
  ];
  const summary = `${escape(row.title)}<span class="value">${escape(value)}</span>`;
  return `<details><summary>${summary}</summary><div>${parts.join('')}</div></details>`;
}

function section(title: string, content: string): string {
  return `<section>${title === '' ? '' : `<h2>${escape(title)}</h2>`}${content}</section>`;
}

function table(head: readonly string[], rows: readonly string[]): string {
  // Align the head of a column of figures with the figures.
  const figures = (rows[0] ?? '').split('</td>').map((cell) => cell.includes('class="number"'));
  const cells = head
    .map((name, at) => `<th${figures[at] === true ? ' class="number"' : ''}>${escape(name)}</th>`)
    .join('');
  const lines = [cells, ...rows].map((line) => `<tr>${line}</tr>`);
  return `<div class="scroll"><table>${lines.join('')}</table></div>`;
}

function cell(content: string): string {
  return `<td>${escape(content)}</td>`;
}

function numberCell(content: string): string {
  return `<td class="number">${escape(content)}</td>`;
}

function verdictCell(met: string): string {
  const kind = met === 'yes' ? 'yes' : met === 'NO' ? 'no' : 'faint';
  return `<td class="${kind}">${escape(met)}</td>`;
}
