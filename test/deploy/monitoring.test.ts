/** The alert rules and the dashboard in deploy/: their form, their own tests, and that each metric in them exists. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { anchors, readDoc, tableUnder } from '../docs/markdown.ts';
import { root, startServer, temporaryDirectory } from '../docs/server-child.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string; readonly runbook_url: string };
}

interface RuleTest {
  readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly unknown[] }[];
}

interface Dashboard {
  readonly panels: readonly {
    readonly type: string;
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

const { groups } = parse(readDoc('deploy/prometheus-rules.yml')) as { groups: readonly { rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(readDoc('deploy/grafana-dashboard.json')) as Dashboard;
const noPromtool = spawnSync('promtool', ['--version']).status === 0 ? false : 'promtool is not installed';

test('promtool accepts the rules, and each alert fires and is quiet as its tests say', { skip: noPromtool }, () => {
  promtool(['check', 'rules', 'deploy/prometheus-rules.yml']);
  promtool(['test', 'rules', 'deploy/prometheus-rules.test.yml']);
});

test('promtool has nothing to say about /metrics', { skip: noPromtool }, async (t) => {
  const { url } = await startServer(t, path.join(temporaryDirectory(t), 'data'));
  await fetch(`${url}/db/acc/kv/k`, { method: 'POST', body: '1' });
  assert.equal(promtool(['check', 'metrics'], await (await fetch(`${url}/metrics`)).text()), '');
});

test('every alert has a test in which it fires, one in which it does not, and a heading that says what to do', () => {
  const { tests } = parse(readDoc('deploy/prometheus-rules.test.yml')) as { tests: readonly RuleTest[] };
  const cases = tests.flatMap((one) => one.alert_rule_test);
  const headings = anchors(readDoc('docs/monitoring.md'));
  const listed = tableUnder(readDoc('docs/monitoring.md'), 'Alerts').map(([alert]) => alert);
  assert.deepEqual(
    listed,
    rules.map(({ alert }) => `[${alert}](#${alert.toLowerCase()})`),
  );
  for (const { alert, labels, annotations } of rules) {
    const own = cases.filter(({ alertname }) => alertname === alert);
    assert.ok(
      own.some(({ exp_alerts }) => exp_alerts.length > 0),
      `${alert} fires in a test`,
    );
    assert.ok(
      own.some(({ exp_alerts }) => exp_alerts.length === 0),
      `${alert} is quiet in a test`,
    );
    assert.match(labels.severity, /^(page|ticket|info)$/, alert);
    assert.ok(annotations.summary !== '' && annotations.description !== '', alert);
    assert.equal(annotations.runbook_url, `docs/monitoring.md#${alert.toLowerCase()}`);
    assert.ok(headings.has(alert.toLowerCase()), `docs/monitoring.md says what to do about ${alert}`);
  }
});

test('rules and dashboard name only metrics that there are, and the dashboard has its seven rows', () => {
  const known = new Set([
    'up',
    ...metricsOf('docs/metrics.md', 'All metrics'),
    ...metricsOf('docs/metrics.md', 'With TLS'),
    ...metricsOf('docs/metrics.md', 'With several machines'),
    ...metricsOf('docs/backup.md', 'Backup metrics'),
  ]);
  const panels = dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => [title, expr] as const),
  );
  const used = new Set<string>();
  for (const [where, expr] of [...panels, ...rules.map(({ alert, expr }) => [alert, expr] as const)]) {
    const names = expr.replaceAll(/"[^"]*"/g, '""').match(/\b(dragonlock|process|nodejs)_\w+/g) ?? [];
    for (const name of names) {
      assert.ok(known.has(name), `${where}: there is no metric ${name}`);
      used.add(name);
    }
  }
  assert.ok(used.size > 30, `${used.size} metrics are used`);
  const rows = dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title);
  assert.deepEqual(rows, ['Users', 'Locks', 'Disk', 'Shards', 'Backup', 'Process', 'Tasks and scripts']);
});

/** With the series of histograms. */
function metricsOf(file: string, heading: string): string[] {
  return tableUnder(readDoc(file), heading).flatMap(([name = '', type]) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );
}

function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: root, input, encoding: 'utf8' });
  assert.equal(status, 0, `promtool ${args.join(' ')}: ${stdout}${stderr}`);
  return stderr;
}
