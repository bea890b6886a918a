/** Runs scripts, one at a time: compiled ones are kept as images, the least recently used go first. */
import { scriptCacheBytesMax, scriptResultBytesMax } from '../script-limits.ts';
import { unreachable } from '../../shared/assert.ts';
import type { ScriptFault, ScriptOutcome, ScriptRun } from '../script-run.ts';
import { overLimit, RunEnd, TxMistake } from '../tx/run-end.ts';
import { RunLog } from '../tx/run-log.ts';
import { ScriptTx, txMembers } from '../tx/script-tx.ts';
import { cpuMs } from './cpu-time.ts';
import { VirtualMachine, type ScriptHost, type ScriptImage } from './virtual-machine.ts';
import { faultOf } from './script-fault.ts';

/** The compilation of 64 KiB takes a hundredth of it. */
const checkCpuMs = 1000;
/** Beside its pages, an entry of the cache takes at most this. */
const entryBytes = 4096;

interface Compiled {
  readonly image: ScriptImage;
  readonly bytes: number;
}

/** A run as it arrives at a thread, which may know the source already. */
export type RunHere = Omit<ScriptRun, 'source'> & { readonly source: string | undefined };

export class ScriptMachine {
  #machine: VirtualMachine | undefined;
  #previous: VirtualMachine | undefined;
  /** The id of the script whose image is in the machine. */
  #inside: string | undefined;
  readonly #compiled = new Map<string, Compiled>();
  #bytes = 0;
  readonly #beat: () => void;
  /** Something has run since the memory was put back. */
  #isUsed = false;

  readonly #cacheBytesMax: number;

  /** @param beat called when a run begins, and about once a millisecond while it goes on */
  constructor(beat: () => void = () => {}, cacheBytesMax = scriptCacheBytesMax) {
    this.#beat = beat;
    this.#cacheBytesMax = cacheBytesMax;
  }

  /** All that is in the machine, for tests. */
  memoryText(): string {
    return this.#machine?.memoryText() ?? '';
  }

  /** Bytes of the scripts that are kept. */
  get cachedBytes(): number {
    return this.#bytes;
  }

  /**
   * Makes a machine ready for the next run, and puts back what the last one has changed. It is best done when the outcome
   * has been told. Behind one whose memory has grown it takes two milliseconds.
   */
  async prepare(): Promise<void> {
    if (this.#isUsed) this.#recover();
    if (this.#machine !== undefined) return;
    const machine = await VirtualMachine.create(this.#previous);
    if (this.#previous !== undefined && !machine.isLike(this.#previous)) this.#forgetAll();
    this.#previous = machine;
    this.#machine = machine;
    this.#inside = undefined;
  }

  /** @returns undefined: this thread does not know the script, and needs its source */
  async run(run: RunHere): Promise<ScriptOutcome | undefined> {
    if (run.source === undefined && !this.#compiled.has(run.sourceID)) return undefined;
    await this.prepare();
    const log = new RunLog();
    const host = new Host(run, log, this.#beat);
    return this.#attempt(host, () => {
      this.#enter(run, host);
      const tx = new ScriptTx(run.reads, log);
      host.tx = tx;
      const result = this.#machine!.run(run, host);
      if (result === undefined) return failed(host);
      if (Buffer.byteLength(result) > scriptResultBytesMax)
        overLimit(`The result takes more than ${scriptResultBytesMax} bytes`);
      // What has no interrupts may have gone on for longer.
      const used = host.usedInTime();
      const operations = tx.notes.isEmpty ? {} : (JSON.parse(tx.notes.text()) as Readonly<Record<string, unknown>>);
      const reads = tx.reads.looked();
      return { kind: 'done', result, operations, reads, log: log.lines, cpuMs: used };
    });
  }

  /** Says where a source is wrong. */
  async check(source: string): Promise<ScriptFault | undefined> {
    await this.prepare();
    const host = new Host({ now: 0, cpuMs: checkCpuMs }, new RunLog(), this.#beat);
    const outcome = this.#attempt(host, () => {
      if (this.#inside !== undefined) this.#machine!.restore(undefined);
      this.#inside = undefined;
      this.#machine!.check(source, host);
      return failed(host);
    });
    if (outcome.kind !== 'failed') return { name: 'SyntaxError', message: 'The script takes too long to compile' };
    return outcome.error.message === haltMessage ? undefined : outcome.error;
  }

  #recover(): void {
    this.#isUsed = false;
    if (this.#machine?.isSpent === true) this.#machine = undefined;
    const image = this.#inside === undefined ? undefined : this.#compiled.get(this.#inside)?.image;
    if (image === undefined) this.#inside = undefined;
    this.#machine?.restore(image, image === undefined ? 'all' : 'heap');
  }

  /** Puts the script into the machine, compiling it if this thread has not. */
  #enter(run: RunHere, host: Host): void {
    const { sourceID } = run;
    const known = this.#compiled.get(sourceID);
    if (known !== undefined) {
      if (this.#inside !== sourceID) this.#machine!.restore(known.image);
      this.#inside = sourceID;
      this.#compiled.delete(sourceID);
      this.#compiled.set(sourceID, known);
      return;
    }
    if (this.#inside !== undefined) this.#machine!.restore(undefined);
    this.#inside = undefined;
    this.#machine!.load(run.source!, host);
    if (host.fault !== undefined) throw new Fault();
    if (!host.isLoaded) throw new Fault({ name: 'TypeError', message: 'The script waits at its top level' });
    // One that needs much memory is compiled anew for each run.
    if (!this.#machine!.isSpent) this.#keep(sourceID, this.#machine!.image());
  }

  #keep(sourceID: string, image: ScriptImage): void {
    const bytes = image.size + entryBytes;
    this.#compiled.set(sourceID, { image, bytes });
    this.#bytes += bytes;
    this.#inside = sourceID;
    for (const [oldest, entry] of this.#compiled) {
      if (this.#bytes <= this.#cacheBytesMax) break;
      this.#compiled.delete(oldest);
      this.#bytes -= entry.bytes;
    }
  }

  #forgetAll(): void {
    this.#compiled.clear();
    this.#bytes = 0;
  }

  #attempt(host: Host, act: () => ScriptOutcome): ScriptOutcome {
    this.#isUsed = true;
    try {
      return act();
    } catch (thrown) {
      return this.#outcomeOf(thrown, host);
    }
  }

  #outcomeOf(thrown: unknown, host: Host): ScriptOutcome {
    const log = host.log.lines;
    const used = host.usedMs();
    if (thrown instanceof Fault) return { kind: 'failed', error: thrown.error ?? host.fault!, log, cpuMs: used };
    if (thrown instanceof RunEnd) return outcomeOfEnd(thrown.end, host);
    // The machine itself has failed: out of memory, or out of the stack of this thread.
    this.#machine = undefined;
    return { kind: 'failed', error: machineFault(thrown), log, cpuMs: used };
  }
}

function outcomeOfEnd(end: RunEnd['end'], host: Host): ScriptOutcome {
  const log = host.log.lines;
  const used = host.usedMs();
  switch (end.kind) {
    case 'needs':
      return { kind: 'needs', needs: end.needs, cpuMs: used };
    case 'refused': {
      const { reason, details } = end;
      return { kind: 'refused', reason, details, reads: host.tx!.reads.looked(), log, cpuMs: used };
    }
    case 'limit':
      return { kind: 'failed', error: { name: 'LimitError', message: end.message }, log, cpuMs: used };
    case 'timeout':
      return { kind: 'timeout', log, cpuMs: used };
    default:
      return unreachable(end);
  }
}

/** What the `halt` of a check throws, as the prelude tells it. */
const haltMessage = 'The script threw 0';

class Fault extends Error {
  readonly error: ScriptFault | undefined;

  /** @param error absent: the one that the host has heard */
  constructor(error?: ScriptFault) {
    super(error?.message);
    this.error = error;
  }
}

function failed(host: Host): ScriptOutcome {
  const error = host.fault ?? { name: 'InternalError', message: 'The script ended without a result' };
  return { kind: 'failed', error, log: host.log.lines, cpuMs: host.usedMs() };
}

function machineFault(thrown: unknown): ScriptFault {
  const isStack = thrown instanceof RangeError && /call stack/.test(thrown.message);
  return isStack
    ? { name: 'RangeError', message: 'Maximum call stack size exceeded' }
    : { name: 'InternalError', message: 'The script needs too much memory, or calls too deeply' };
}

class Host implements ScriptHost {
  readonly log: RunLog;
  readonly #now: number;
  readonly #limitMs: number;
  readonly #beat: () => void;
  readonly #began = cpuMs();
  tx: ScriptTx | undefined;
  fault: ScriptFault | undefined;
  isLoaded = false;

  constructor({ now, cpuMs: limitMs }: Pick<ScriptRun, 'now' | 'cpuMs'>, log: RunLog, beat: () => void) {
    this.#now = now;
    this.#limitMs = limitMs;
    this.log = log;
    this.#beat = beat;
    beat();
  }

  usedMs(): number {
    return cpuMs() - this.#began;
  }

  now(): number {
    return this.tx === undefined ? 0 : this.#now;
  }

  interrupt(): void {
    this.#beat();
    this.usedInTime();
  }

  usedInTime(): number {
    const used = this.usedMs();
    if (used > this.#limitMs) throw new RunEnd({ kind: 'timeout' });
    return used;
  }

  call(name: string, a: string, b: string | undefined, c: string | undefined): string | undefined {
    try {
      if (this.tx !== undefined && Object.hasOwn(txMembers, name)) return this.tx.call(name, a, b, c);
      if (name === 'fault') this.fault = faultOf(a, b ?? '', c ?? '');
      else if (name === 'loaded') this.isLoaded = true;
      else if (name === 'log') this.log.add(a);
      return undefined;
    } catch (thrown) {
      if (thrown instanceof TxMistake) return `!${thrown.message}`;
      throw thrown;
    }
  }
}
