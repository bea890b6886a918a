/** Sockets of systemd: they outlive the server, and nobody is refused while it restarts. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { temporaryDirectory } from '../docs/server-child.ts';
import { serverProgram } from '../support/server-program.ts';

/** As systemd: opens two sockets on one port, and starts the server again and again on them, until it is told to end. */
const holder = `
import os, signal, socket, sys
first = socket.socket(); second = socket.socket()
for s in (first, second): s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
first.bind((sys.argv[1], 0)); second.bind(first.getsockname())
for s in (first, second): s.listen(4096)
print('port', first.getsockname()[1], flush=True)
# Out of the way of 3 and 4.
fds = [os.dup2(s.fileno(), 50 + i) for i, s in enumerate((first, second))]
child = 0
def end(*_):
    global child
    if child: os.kill(child, signal.SIGKILL)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
while True:
    child = os.fork()
    if child == 0:
        for i, fd in enumerate(fds): os.dup2(fd, 3 + i)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='http:http')
        os.execvp(sys.argv[2], sys.argv[2:])
    _, status = os.waitpid(child, 0)
    print('ended', os.waitstatus_to_exitcode(status), flush=True)
    if os.waitstatus_to_exitcode(status) == 1: os._exit(1)
`;
const restarts = process.env['DRAGONLOCK_LOAD_SCALE'] === 'full' ? 20 : 1;
const skip = spawnSync('python3', ['--version']).error !== undefined && 'python3 is not installed';

interface Line {
  readonly msg?: string;
  readonly pid?: number;
  readonly threads?: number;
}

test('restarts on sockets of systemd: every request of every client is answered', {
  skip,
  timeout: 300_000,
}, async (t) => {
  const directory = temporaryDirectory(t);
  const argv = [process.execPath, serverProgram, '--config', '/dev/null', '--data-dir', path.join(directory, 'data')];
  const child = spawn('python3', ['-c', holder, '127.0.0.1', ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    child.kill();
    await once(child, 'close');
  });
  let port = 0;
  let serving = 0;
  let pid = 0;
  let threads = 0;
  const ended: string[] = [];
  let onLine: (() => void) | undefined;
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('port')) port = Number(line.split(' ')[1]);
    else if (line.startsWith('ended')) ended.push(line);
    else {
      const parsed = JSON.parse(line) as Line;
      if (parsed.msg?.startsWith('Listening')) threads = parsed.threads ?? 0;
      if (parsed.msg?.startsWith('Serving')) {
        serving += 1;
        pid = parsed.pid!;
      }
    }
    onLine?.();
  });
  const until = (fits: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      onLine = () => void (fits() && resolve());
      onLine();
    });
  await until(() => serving === 1);
  assert.equal(threads, 2, 'one front end for each socket');

  const stopped = new AbortController();
  const answers = { count: 0, wanted: 0, enough: () => {} };
  let longest = 0;
  const loop = async (n: number): Promise<void> => {
    for (let i = 1; !stopped.signal.aborted; i += 1) {
      const began = performance.now();
      const request = http.request({ host: '127.0.0.1', port, method: 'POST', path: `/db/acc/kv/k${n}`, agent: false });
      request.end(String(i));
      const [reply] = (await once(request, 'response')) as [http.IncomingMessage];
      assert.equal(reply.statusCode, 200, await text(reply));
      reply.resume();
      answers.count += 1;
      if (answers.count === answers.wanted) answers.enough();
      longest = Math.max(longest, performance.now() - began);
    }
  };
  const loops = Promise.all([0, 1, 2, 3].map(loop));
  for (let i = 1; i <= restarts; i += 1) {
    process.kill(pid, 'SIGTERM');
    await Promise.race([until(() => serving === i + 1), loops]);
    const enough = new Promise<void>((resolve) => (answers.enough = resolve));
    answers.wanted = answers.count + 50;
    await Promise.race([enough, loops]);
  }
  stopped.abort();
  await loops;
  assert.deepEqual(ended, Array(restarts).fill('ended 0'));
  t.diagnostic(`${answers.count} requests over ${restarts} restarts, the longest took ${Math.round(longest)} ms`);
});

test('a socket that others can reach is refused without tokens', { skip }, async (t) => {
  const argv = [
    process.execPath,
    serverProgram,
    '--config',
    '/dev/null',
    '--data-dir',
    path.join(temporaryDirectory(t), 'data'),
  ];
  const child = spawn('python3', ['-c', holder, '0.0.0.0', ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
  const said = await text(child.stderr);
  assert.match(said, /^Cannot listen on 0\.0\.0\.0:\d+: other machines can reach it, and no tokens are configured\./m);
});
