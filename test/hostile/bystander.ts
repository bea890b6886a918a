/**
 * `node bystander.ts PORT SECONDS`: an account that wants little: 100 writes a second at fixed times, whether or not
 * the last has been answered, and a lock of two seconds that is renewed every 600 ms. Prints how it was served.
 */
import http from 'node:http';

export const bystanderToken = 'bystander-token';
/** The server and the clients compile their code first. */
export const warmUpSeconds = 2;

export interface Served {
  readonly writes: number;
  readonly failed: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly leasesLost: number;
}

if (import.meta.main) {
  const [port, seconds] = process.argv.slice(2);
  console.log(JSON.stringify(await live(Number(port), Number(seconds))));
  process.exit();
}

async function live(port: number, seconds: number): Promise<Served> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  const ask = (method: string, path: string, body?: string): Promise<{ status: number; text: string }> =>
    new Promise((resolve) => {
      const headers = { authorization: `Bearer ${bystanderToken}`, 'content-type': 'application/json' };
      const request = http.request({ port, host: '127.0.0.1', method, path, agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (data: string) => (text += data));
        response.on('end', () => resolve({ status: response.statusCode!, text }));
      });
      request.on('error', () => resolve({ status: 0, text: '' }));
      request.end(body);
    });

  let failed = 0;
  let leasesLost = 0;
  const times: number[] = [];
  const pending: Promise<void>[] = [];
  const taken = await ask('POST', '/db/calm/lock/leader?dur=2&wait=5');
  let lock = (JSON.parse(taken.text) as { Lock: number }).Lock;
  const renew = async (): Promise<void> => {
    const extension = { LockID: 'leader', UnlockID: 'leader', Unlock: lock, LockDur: 2 };
    const { status } = await ask('POST', '/db/calm', JSON.stringify(extension));
    if (status === 200) return;
    leasesLost += 1;
    const again = await ask('POST', '/db/calm/lock/leader?dur=2&wait=5');
    lock = (JSON.parse(again.text || '{}') as { Lock: number }).Lock;
  };
  const start = performance.now();
  const count = (warmUpSeconds + seconds) * 100;
  for (let n = 0; n < count; n += 1) {
    if (n === warmUpSeconds * 100) times.length = 0;
    const due = start + n * 10;
    const wait = due - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (n % 60 === 0) pending.push(renew());
    pending.push(
      ask('POST', `/db/calm/kv/k${n % 10}`, String(n)).then(({ status }) => {
        times.push(performance.now() - due);
        if (status !== 200) failed += 1;
      }),
    );
  }
  await Promise.all(pending);
  times.sort((a, b) => a - b);
  const at = (share: number): number =>
    Number(times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(1));
  return { writes: times.length, failed, p50: at(0.5), p99: at(0.99), max: at(1), leasesLost };
}
