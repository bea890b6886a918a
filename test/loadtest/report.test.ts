import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { judge } from '../../loadtest/goals.ts';
import { renderHtml } from '../../loadtest/report/html.ts';
import { begin, end, putInto, renderMarkdown } from '../../loadtest/report/markdown.ts';
import { renderSummary } from '../../loadtest/report/summary-svg.ts';
import { renderTerminal } from '../../loadtest/report/terminal.ts';
import { goalRows } from '../../loadtest/rows/goal-rows.ts';
import type { Report, Sample } from '../../loadtest/results.ts';
import { compare } from '../../loadtest/run-row.ts';
import { root } from '../docs/server-child.ts';

function sample(value: number): Sample {
  const points = [
    [0.5, 1],
    [0.99, 5],
    [0.999, 20],
  ] as const;
  return {
    value,
    seconds: 2,
    requests: value * 2,
    units: value * 2,
    latency: { p50Ms: 1, p99Ms: 5, p999Ms: 20, maxMs: 30, points },
    generator: { name: 'wrk -t1', cores: 0.4, coresMax: 1 },
    server: {
      cpuMicros: 2_000_000,
      cores: 1,
      byThread: [
        ['shard-0', 1_200_000],
        ['main <thread>', 800_000],
      ],
    },
    groupCommit: {
      syncs: 10,
      records: 100,
      meanSyncMs: 0.2,
      sizes: [
        [8, 4],
        [16, 6],
      ],
    },
  };
}

const sides = [
  { contestant: { title: 'Dragon Lock' }, runs: [30, 10, 40].map(sample) },
  { contestant: { title: 'Redis' }, runs: [40, 20, 40].map(sample) },
  { contestant: { title: 'etcd' }, runs: [10, 2, 8].map(sample) },
];
const contestants = compare(sides);
const goals = [
  judge({ bound: 'at least', value: 3, against: 'etcd' }, 'writes/s', contestants),
  judge({ bound: 'at least', value: 0.8, stretch: 1, against: 'Redis' }, 'writes/s', contestants),
  judge({ bound: 'at least', value: 2, against: 'NATS' }, 'writes/s', contestants),
  judge({ bound: 'at most', value: 29 }, 'writes/s', contestants),
];
const report: Report = {
  format: 1,
  startedAt: '2026-01-02T03:04:05.000Z',
  seconds: 61,
  command: 'npm run loadtest',
  machine: { cpu: 'A <CPU>', cores: '2', memory: '4 GiB', kernel: 'Linux', node: 'v26' },
  disk: { directory: '.', p50Ms: 0.13, p99Ms: 0.4 },
  options: { seconds: 2, repeats: 3, quick: false },
  servers: [
    {
      title: 'NATS JetStream KV',
      note: 'nats-server is not installed (apt-get install nats-server): its rows are left out',
    },
  ],
  rows: [
    {
      name: 'kv-64B-64',
      title: 'writes & more',
      group: 'goals',
      unit: 'writes/s',
      better: 'more',
      contestants,
      goals,
      takenByOthers: 0.1,
    },
    {
      name: 'latency-1000',
      title: 'arrivals: p99',
      group: 'latency',
      unit: 'ms',
      better: 'less',
      contestants,
      goals: [],
      takenByOthers: 0,
    },
    {
      name: 'broken',
      title: 'broke',
      group: 'more',
      unit: 'x',
      better: 'more',
      contestants: [],
      goals: [],
      takenByOthers: 0,
      error: 'it fell <over>',
    },
  ],
};

test('ours comes first, and each peer has the median of its ratios', () => {
  assert.deepEqual(
    contestants.map(({ title, median, ratio }) => [title, median, ratio]),
    [
      ['Dragon Lock', 30, undefined],
      ['Redis', 40, 0.75],
      ['etcd', 8, 5],
    ],
  );
});

test('a goal is met, missed, or, without the peer, not measured', () => {
  assert.deepEqual(
    goals.map(({ text, met }) => [text, met]),
    [
      ['≥ 3 × etcd', true],
      ['≥ 0.8 × Redis', false],
      ['≥ 2 × NATS', undefined],
      ['≤ 29 writes/s', false],
    ],
  );
  assert.deepEqual(goals[1]?.stretch, { text: '≥ 1 × Redis', met: false });
  assert.equal(goals[2]?.measured, 'not measured');
});

test('the page is self-contained, and names of servers and machines are escaped', () => {
  const html = renderHtml(report);
  assert.doesNotMatch(html, /(src|href)=|@import|url\(/);
  assert.match(html, /prefers-color-scheme:dark/);
  assert.ok(
    html.includes('A &lt;CPU&gt;') && html.includes('writes &amp; more') && html.includes('it fell &lt;over&gt;'),
  );
  assert.doesNotMatch(html, /<thread>|<CPU>|NaN|undefined/);
  for (const section of [
    'Goals',
    'Ratios',
    'Throughput',
    'Latency at fixed arrival rates',
    'CPU by thread',
    'Group commit',
  ]) {
    assert.ok(html.includes(`<h2>${section}</h2>`), section);
  }
  const opened = [...html.matchAll(/<(svg|table|details|section|div|p|tr|td|text)\b/g)].length;
  const closed = [...html.matchAll(/<\/(svg|table|details|section|div|p|tr|td|text)>/g)].length;
  assert.equal(opened, closed);
});

test('terminal, Markdown and picture show the same figures', () => {
  for (const text of [renderTerminal(report), renderMarkdown(report), renderHtml(report)]) {
    assert.match(text, /0\.750 × Redis/);
    assert.match(text, /≥ 3 × etcd/);
    assert.match(text, /not measured/);
    assert.match(text, /apt-get install nats-server/);
  }
  const picture = renderSummary(report);
  assert.match(picture, /^<svg xmlns=/);
  assert.match(picture, /Dragon Lock 30\.0/);
  assert.doesNotMatch(picture, /NaN|undefined/);
});

test('a report of one failed row can be rendered', () => {
  const failed = { ...report, rows: report.rows.slice(2) };
  for (const text of [renderTerminal(failed), renderMarkdown(failed), renderHtml(failed)])
    assert.match(text, /it fell/);
  assert.match(renderSummary(failed), /<\/svg>/);
});

test('putInto replaces only the text between the marks', () => {
  const document = `before\n${begin}\nold\n${end}\nafter\n`;
  assert.equal(putInto(document, 'new\n'), `before\n${begin}\n\nnew\n\n${end}\nafter\n`);
  assert.equal(putInto(putInto(document, 'x\n'), 'new\n'), putInto(document, 'new\n'));
  assert.throws(() => putInto('no marks', 'new'), /lacks its marks/);
});

test('docs/performance.md has every row with a goal, and the README shows the picture', () => {
  const document = fs.readFileSync(path.join(root, 'docs/performance.md'), 'utf8');
  const table = document.slice(document.indexOf(begin), document.indexOf(end));
  for (const { title, goals: expected = [] } of goalRows) {
    if (expected.length === 0) continue;
    const lines = table.split('\n').filter((line) => line.startsWith(`| ${title} | `));
    assert.ok(
      lines.length > expected.length,
      `${title}: expected a line for the row and for each goal, got ${lines.length}`,
    );
  }
  assert.match(table, /^Measured on \d{4}-\d\d-\d\d by /m);
  for (const peer of ['Redis', 'etcd', 'NATS JetStream KV', 'PostgreSQL'])
    assert.match(table, new RegExp(`^\\| ${peer} \\| [\\d.]+ \\|`, 'm'));
  assert.match(fs.readFileSync(path.join(root, 'README.md'), 'utf8'), /docs\/performance\.svg/);
  assert.match(fs.readFileSync(path.join(root, 'docs/performance.svg'), 'utf8'), /^<svg xmlns=/);
});
