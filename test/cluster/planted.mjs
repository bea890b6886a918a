import fs from 'node:fs';
import { spawnSync, execSync } from 'node:child_process';
const W = process.cwd();
const P = [
  [
    'an unknown append counts as failed',
    'src/cluster/fenced-log.ts',
    '          mayTakeEffect = true;\n          break;',
    "          return 'full';",
  ],
  [
    'an unknown append counts as done',
    'src/cluster/fenced-log.ts',
    '          mayTakeEffect = true;\n          break;',
    "          return 'done';",
  ],
  [
    'full is told although an earlier try may take effect',
    'src/cluster/fenced-log.ts',
    "if (!mayTakeEffect) return 'full';",
    "return 'full';",
  ],
  [
    'a deposed owner takes a refusal for done',
    'src/cluster/fenced-log.ts',
    "return (await this.#hasGoneBack()) ? 'gone-back' : 'deposed';",
    "return 'done';",
  ],
  [
    'an owner trusts what it sees without a barrier',
    'src/cluster/fenced-log.ts',
    'const isOwner = await definite(() => this.#engine.barrier(this.owner), this.#pause);\n    if (isOwner',
    'const isOwner: string | undefined = undefined;\n    if (isOwner',
  ],
  [
    'a refused frame counts as done when its slot is taken',
    'src/cluster/fenced-log.ts',
    "slot?.chain === frame.chain) return 'done'",
    "slot !== undefined) return 'done'",
  ],
  [
    'a cell that was handed over is opened without a barrier',
    'src/cluster/take-cell.ts',
    "const isOwner = await definite(() => engine.barrier(owner), pause);\n    return isOwner === 'refused' ? undefined : { owner, row: seen };",
    'return { owner, row: seen };',
  ],
  [
    'the log is read before the take',
    'src/cluster/open-cell.ts',
    "  const taken = await takeCell({ cell: seen.cell, seen, session }, dependencies);\n  if (taken === undefined) return { kind: 'lost' };\n  const { owner } = taken;\n  const read = await readToEnd({ owner, from, remembered, apply }, dependencies);\n",
    "  const early = { cell: seen.cell, epoch: seen.epoch, session };\n  const read = await readToEnd({ owner: early, from, remembered, apply }, dependencies);\n  const taken = await takeCell({ cell: seen.cell, seen, session }, dependencies);\n  if (taken === undefined) return { kind: 'lost' };\n  const { owner } = taken;\n",
  ],
  [
    'a cell is served without a frame of its epoch',
    'src/cluster/open-cell.ts',
    'const written = await log.append(boot);',
    "return { kind: 'open', log };\n  const written = await log.append(boot);",
  ],
  ['the cover counts from the answer', 'src/cluster/session.ts', 'sentAt + coverMs', 'this.#now() + coverMs'],
  ['a node ignores its own stall', 'src/cluster/watch-nodes.ts', 'this.#standing.clear();', 'void 0;'],
  ['a beat counts from the question', 'src/cluster/watch-nodes.ts', 'since: answeredAt }', 'since: askedAt - 900 }'],
  [
    'nodes are asked before the cell',
    'src/cluster/find-orphan.ts',
    "  const row = await engine.look(cell);\n  if (row.kind !== 'done') return undefined;\n  const nodes = await engine.nodes();\n  if (nodes.kind !== 'done') return undefined;",
    "  const nodes = await engine.nodes();\n  if (nodes.kind !== 'done') return undefined;\n  const row = await engine.look(cell);\n  if (row.kind !== 'done') return undefined;",
  ],
  [
    'no jump at a take',
    'src/cluster/take-cell.ts',
    "return revision(Math.max(next + (how === 'taken' ? takeJump : acceptLossJump), byTime));",
    'return revision(next);',
    'L',
  ],
  [
    'a take jumps to the same place again',
    'src/cluster/take-cell.ts',
    'acceptLossJump), byTime)',
    'acceptLossJump), 0)',
    'L',
  ],
  ['a lost session goes on', 'src/cluster/session.ts', "if (answer.kind === 'refused') this.#isLost = true;", ''],
  [
    'E no epoch check',
    'test/cluster/model-engine.ts',
    'return row.epoch === epoch && row.session === session;',
    'return row.session !== undefined || epoch + session < 0;',
  ],
  [
    'E previous not checked',
    'test/cluster/model-engine.ts',
    'owns(tables, owner) && isBehind && !log.has',
    'owns(tables, owner) && (isBehind || true) && !log.has',
    'L',
  ],
  [
    'E warning is success',
    'test/cluster/model-engine.ts',
    "this.#finish(transaction, { kind: 'unknown' });",
    "this.#finish(transaction, { kind: 'done', result: transaction.result });",
  ],
  [
    'E handover without end',
    'test/cluster/model-engine.ts',
    '(owns(tables, owner) && isWhole) || isDone',
    'owns(tables, owner) || (isWhole && isDone) || isDone',
    'L',
  ],
  [
    'E join any',
    'test/cluster/model-engine.ts',
    'return before === seen || before === session ? done : undefined;',
    'return done;',
  ],
  [
    'E last frame trimmed',
    'test/cluster/model-engine.ts',
    'frame.last <= upTo && first !== last',
    'frame.last <= upTo && first <= last',
  ],
  [
    'N cover before evaluating',
    'test/cluster/cluster-node.ts',
    '    // The process may be stopped anywhere here.\n    await this.context.machine.pause(0);\n    while (!session.isCovered) {\n      if (session.isLost) return undefined;\n      await this.context.machine.pause(5);\n    }\n    return evaluated;',
    '    while (!session.isCovered) {\n      if (session.isLost) return undefined;\n      await this.context.machine.pause(5);\n    }\n    await this.context.machine.pause(0);\n    return { rev: own.last, value: own.value };',
  ],
  [
    'N reopened while handed over',
    'test/cluster/cluster-node.ts',
    '    this.#moving.add(cell);\n    while (own.busy)',
    '    while (own.busy)',
  ],
];
const only = process.argv[2];
for (const [name, file, find, repl, l] of P) {
  if (only && !name.includes(only)) continue;
  execSync(
    `rm -rf /tmp/dragonlock-planted/*; mkdir -p /tmp/dragonlock-planted; cp -r ${W}/src ${W}/test ${W}/package.json ${W}/tsconfig.json /tmp/dragonlock-planted/ 2>/dev/null; ln -s ${W}/node_modules /tmp/dragonlock-planted/node_modules`,
  );
  const f = '/tmp/dragonlock-planted/' + file;
  const s = fs.readFileSync(f, 'utf8');
  const n = s.split(find).length - 1;
  if (n !== 1) {
    console.log('FIND', n, name);
    continue;
  }
  fs.writeFileSync(
    f,
    s.replace(find, () => repl),
  );
  const r = spawnSync(
    W + '/node_modules/.bin/node',
    ['test/cluster/run.ts', '--seeds', '1..60', ...(l ? ['--lossy'] : [])],
    { cwd: '/tmp/dragonlock-planted', encoding: 'utf8', timeout: 110000 },
  );
  console.log(
    name,
    '|',
    (r.stdout.match(/^seed.*/m) || r.stderr.match(/Error.*/) || ['NOT CAUGHT ' + r.status])[0].slice(0, 150),
  );
}
