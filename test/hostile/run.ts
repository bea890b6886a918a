/**
 * `node test/hostile/run.ts [--seconds 5] [--only TEXT] [--calm] [--turns]`: runs each hostile load beside a calm account,
 * one after the other, each on a server of its own, and prints how the calm account was served; with `--turns` also which
 * turns of the server's threads were the longest, in milliseconds of CPU time (turn-meter.ts).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { bystanderToken, warmUpSeconds, type Served } from './bystander.ts';
import { evilToken, loads } from './loads.ts';
import { longestTurns } from './turn-meter.ts';

export const hostileConfig = `
resp: {listen: '127.0.0.1:0'}
tokens:
  - {token: ${evilToken}, accounts: [evil], scopes: [read, write, script, task]}
  - {token: ${bystanderToken}, accounts: [calm], scopes: [read, write]}
`;

export interface Outcome extends Served {
  readonly attacker: string;
}

/** Lives beside a load for some seconds. Without a load: the account is alone. */
export async function liveBeside(server: ServerUnderTest, load: string | undefined, seconds: number): Promise<Outcome> {
  const attacker = load === undefined ? undefined : await attack(server, load, warmUpSeconds + seconds + 1);
  const child = spawn(process.execPath, [file('./bystander.ts'), `${server.port}`, `${seconds}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  favour(child, -10);
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  await once(child, 'close');
  const served = JSON.parse(text) as Served;
  return { ...served, attacker: (await attacker?.ended) ?? '' };
}

async function attack(
  { port, respPort }: ServerUnderTest,
  load: string,
  seconds: number,
): Promise<{ ended: Promise<string> }> {
  const child = spawn(process.execPath, [file('./attacker.ts'), `${port}`, `${respPort}`, load, `${seconds}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  favour(child, 10);
  const lines = createInterface(child.stdout);
  const ended = new Promise<string>((resolve) => {
    let last = '';
    lines.on('line', (line) => (last = line));
    child.on('close', () => resolve(last));
  });
  await once(lines, 'line');
  return { ended };
}

/**
 * Attackers and tenants have machines of their own. Here they share the server's cores: the attacker gets what the
 * server leaves, and the calm account does not wait for a core behind it, so that what is measured is the server.
 */
function favour({ pid }: ChildProcess, niceness: number): void {
  try {
    if (pid !== undefined) os.setPriority(pid, niceness);
  } catch {
    // Not every user may raise a priority, and a short process may have ended.
  }
}

function file(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '5' },
      only: { type: 'string', default: '' },
      calm: { type: 'boolean' },
      turns: { type: 'boolean' },
    },
  });
  const seconds = Number(values.seconds);
  const chosen = loads.map(({ name }) => name).filter((name) => name.includes(values.only));
  for (const load of values.calm === true ? [undefined] : [undefined, ...chosen]) {
    const turns = path.join(os.tmpdir(), `dragonlock-turns-${process.pid}.jsonl`);
    fs.writeFileSync(turns, '');
    const metered = { NODE_OPTIONS: `--import=${file('./turn-meter.ts')}`, TURN_FILE: turns };
    const server = ServerUnderTest.prepare({
      config: hostileConfig,
      ...(values.turns === true && { env: metered }),
    });
    await server.start();
    const { p50, p99, max, failed, leasesLost, attacker } = await liveBeside(server, load, seconds);
    console.log(
      `${(load ?? 'nobody else').padEnd(48)} p50 ${p50}  p99 ${p99}  max ${max} ms` +
        `${failed > 0 ? `  FAILED ${failed}` : ''}${leasesLost > 0 ? `  LEASES LOST ${leasesLost}` : ''}   ${attacker}`,
    );
    await server.dispose(true);
    if (values.turns === true) console.log(longestTurns(turns).join('\n'));
    fs.rmSync(turns);
  }
}
