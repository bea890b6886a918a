/** A server under load, ours or a peer: on 127.0.0.1, ended by its process id, stopped while another has its turn. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import type { Target } from '../load/types.ts';

export interface LoadedServer {
  readonly target: Target;
  /** Undefined for a server that the load test did not start. */
  readonly pid: number | undefined;
  /** Stops the process (SIGSTOP), so that it takes no CPU from the server that is measured. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

export type OnSpawn = (process: ChildProcess) => void;

const readyMsMax = 60_000;
const readyPollMs = 20;
const stopMsMax = 60_000;

export interface PeerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** A peer's process. Its output goes to a file beside its directory. */
export class Peer implements LoadedServer {
  readonly target: Target;
  readonly #process: ChildProcess;
  readonly #stopSignal: NodeJS.Signals;

  private constructor(process: ChildProcess, target: Target, stopSignal: NodeJS.Signals) {
    this.#process = process;
    this.target = target;
    this.#stopSignal = stopSignal;
  }

  static async start(
    { command, args, directory, uid, gid }: PeerCommand,
    target: Target,
    onSpawn: OnSpawn,
    stopSignal: NodeJS.Signals = 'SIGTERM',
  ): Promise<Peer> {
    const log = fs.openSync(`${directory}.log`, 'a');
    const identity = uid === undefined || gid === undefined ? {} : { uid, gid };
    const child = spawn(command, args, { cwd: directory, stdio: ['ignore', log, log], ...identity });
    fs.closeSync(log);
    onSpawn(child);
    const peer = new Peer(child, target, stopSignal);
    const deadline = performance.now() + readyMsMax;
    while (!(await accepts(target.port))) {
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline) {
        const output = fs.readFileSync(`${directory}.log`, 'utf8').trim().split('\n').slice(-5).join('\n');
        throw new Error(`${command} did not start; its output:\n${output}`);
      }
      await sleep(readyPollMs);
    }
    return peer;
  }

  get pid(): number {
    return this.#process.pid!;
  }

  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await endProcess(this.#process, this.#stopSignal);
  }
}

/** Ends the process. Returns its exit code or the signal that ended it. */
export async function endProcess(process: ChildProcess, signal: NodeJS.Signals): Promise<number | string | null> {
  if (process.exitCode !== null || process.signalCode !== null) return process.exitCode ?? process.signalCode;
  const exited = once(process, 'exit');
  process.kill(signal);
  process.kill('SIGCONT');
  const timer = setTimeout(() => process.kill('SIGKILL'), stopMsMax);
  const [code, ended] = (await exited) as [number | null, string | null];
  clearTimeout(timer);
  return code ?? ended;
}

export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
