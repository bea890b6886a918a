/**
 * The owner's end of a worker thread. A message from the worker is one of three things:
 *
 *   a step    its `kind` was passed to `step`; it arrives once and resolves that promise
 *   an answer its `id` is that of an `ask`
 *   the rest  goes to `onMessage`: log lines, and questions that the worker asks
 *
 * A thread that throws, or ends before it was told to, is fatal: half a server is of no use to anybody.
 */
import { once } from 'node:events';
import { Worker, type MessagePort, type ResourceLimits } from 'node:worker_threads';

interface Message {
  readonly kind: string;
  readonly id?: number;
}

export interface WorkerLinkOptions<FromWorker extends Message> {
  readonly url: URL;
  /** Names the thread for debuggers, and in the message when it ends. */
  readonly name: string;
  readonly workerData: unknown;
  /** Ports in `workerData`, which are transferred to the worker. */
  readonly ports: readonly MessagePort[];
  readonly resourceLimits?: ResourceLimits;
  readonly onFatal: (error: unknown) => void;
  readonly onMessage?: (message: FromWorker) => void;
}

export class WorkerLink<ToWorker extends Message, FromWorker extends Message> {
  readonly #worker: Worker;
  readonly #steps = new Map<string, PromiseWithResolvers<FromWorker>>();
  readonly #answers = new Map<number, (answer: FromWorker) => void>();
  #nextId = 1;
  #mayEnd = false;
  #terminated = false;

  constructor(options: WorkerLinkOptions<FromWorker>) {
    const { url, name, workerData, ports, resourceLimits = {}, onFatal, onMessage } = options;
    this.#worker = new Worker(url, { workerData, transferList: [...ports], name, resourceLimits });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message, onMessage));
    this.#worker.on('error', onFatal);
    this.#worker.on('exit', (code) => {
      if (!this.#terminated && (code !== 0 || !this.#mayEnd))
        onFatal(new Error(`The thread ${name} has ended with code ${code}`));
    });
  }

  /**
   * Resolves when the worker has sent `kind`. Call it before the worker can send that: in the turn that made the link.
   */
  async step<Kind extends FromWorker['kind']>(kind: Kind): Promise<Extract<FromWorker, { kind: Kind }>> {
    return (await this.#step(kind).promise) as Extract<FromWorker, { kind: Kind }>;
  }

  /** @param transfer ports and memory in `message` that become the worker's */
  send(message: ToWorker, transfer: readonly (MessagePort | ArrayBuffer)[] = []): void {
    this.#worker.postMessage(message, [...transfer]);
  }

  /** Sends a question. Resolves with the worker's message that has the same id. */
  ask(kind: ToWorker['kind']): Promise<FromWorker> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.#worker.postMessage({ kind, id });
    });
  }

  /** Allows the thread to end from now on. */
  mayEnd(): void {
    this.#mayEnd = true;
  }

  /** Sends the last message; resolves when the thread has ended. */
  async stop(message: ToWorker): Promise<void> {
    this.mayEnd();
    const exited = once(this.#worker, 'exit');
    this.send(message);
    await exited;
  }

  /** Microseconds that the thread has had a core; undefined where Node does not tell. */
  async cpuMicros(): Promise<number | undefined> {
    const worker = this.#worker as Worker & { cpuUsage?: () => Promise<{ user: number; system: number }> };
    const usage = await worker.cpuUsage?.().catch(() => undefined);
    return usage && usage.user + usage.system;
  }

  async terminate(): Promise<void> {
    this.#terminated = true;
    await this.#worker.terminate();
  }

  #step(kind: string): PromiseWithResolvers<FromWorker> {
    let step = this.#steps.get(kind);
    if (step === undefined) this.#steps.set(kind, (step = Promise.withResolvers<FromWorker>()));
    return step;
  }

  #receive(message: FromWorker, onMessage: ((message: FromWorker) => void) | undefined): void {
    const answer = message.id === undefined ? undefined : this.#answers.get(message.id);
    if (answer !== undefined) {
      this.#answers.delete(message.id!);
      return answer(message);
    }
    const step = this.#steps.get(message.kind);
    if (step !== undefined) step.resolve(message);
    else onMessage?.(message);
  }
}
