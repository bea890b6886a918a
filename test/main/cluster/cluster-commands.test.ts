import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterState, describeCluster, initCluster } from '../../../src/main/cluster/cluster-commands.ts';
import { servable } from '../../../src/main/cluster/servable.ts';
import { loadConfig, type ConfigSources } from '../../../src/main/config/config.ts';
import { newPostgres, whyNoPostgres } from '../../cluster/postgres/temporary-postgres.ts';
import { ScriptedEngine, take } from '../../cluster/scripted-engine.ts';

const sourcesOf = (yaml: string): ConfigSources => ({
  argv: ['--config', 'config.yml'],
  env: {},
  cores: 2,
  readFile: () => yaml,
});

test('the state of a cluster: who lives, what each has, and cells that nobody has who lives', async () => {
  const engine = new ScriptedEngine(5);
  for (const [node, session] of [
    ['a', 1],
    ['b', 2],
  ] as const)
    assert.equal((await engine.engine.join(node, session, undefined)).kind, 'done');
  await take(engine, 1, 0);
  await take(engine, 1, 3);
  await take(engine, 2, 1);
  // Of a node that has another one by now.
  await take(engine, 9, 2);
  assert.equal((await engine.engine.fence('b', 2, 0)).kind, 'done');
  assert.deepEqual(await describeCluster(engine.engine, { clusterId: 'it', cells: 5 }), {
    id: 'it',
    cells: 5,
    unowned: [1, 2, 4],
    nodes: [
      { name: 'a', alive: true, cells: [0, 3] },
      { name: 'b', alive: false, cells: [] },
    ],
  });
  const { engine: asked } = engine;
  await assert.rejects(
    describeCluster(
      { look: (cell) => asked.look(cell), nodes: async () => ({ kind: 'unknown' }) },
      { clusterId: 'it', cells: 5 },
    ),
    /The engine did not answer \(unknown\); try again/,
  );
});

test('a server does not start as a node, and the commands need an engine', async () => {
  const config = loadConfig(sourcesOf('cluster: {engine: "postgres://127.0.0.1/a"}'));
  assert.throws(() => servable(config), /cannot be a node of one yet\. Remove cluster\.engine/);
  const alone = loadConfig(sourcesOf(''));
  assert.equal(servable(alone), alone);
  await assert.rejects(initCluster(sourcesOf('')), /cluster\.engine: expected the URL/);
});

test('init makes a cluster once, status shows it and its flaws', {
  skip: whyNoPostgres() ?? false,
}, async (context) => {
  const postgres = await newPostgres();
  context.after(() => postgres.stop());
  const single = sourcesOf(`cluster: {engine: "${postgres.url}", engine_single: true}`);
  await assert.rejects(clusterState(single), /There is no cluster in this database/);
  const made = await initCluster(single);
  assert.equal(made.cells, 64);
  await assert.rejects(initCluster(single), /There is a cluster in this database already, of 64 cells/);
  const { id, cells, unowned, nodes, warnings } = await clusterState(single);
  assert.deepEqual([id, cells, unowned.length, nodes, warnings], [made.id, 64, 64, [], []]);
  await assert.rejects(
    clusterState(sourcesOf(`cluster: {engine: "${postgres.url}"}`)),
    /synchronous_standby_names is empty/,
  );
  const lax = await clusterState(sourcesOf(`cluster: {engine: "${postgres.url}", require_sync: false}`));
  assert.match(lax.warnings.join(), /synchronous_standby_names is empty/);
});
