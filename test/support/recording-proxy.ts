/**
 * Stands between clients and a server, and keeps what they say to each other. It has a thread of its own, because the
 * examples of the documents run while this one waits for them.
 */
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { threadFile } from '../../src/shared/thread-file.ts';
import type { HttpMessage } from './openapi-checker.ts';

export class RecordingProxy {
  readonly url: string;
  readonly #worker: Worker;

  private constructor(url: string, worker: Worker) {
    this.url = url;
    this.#worker = worker;
  }

  static async open(t: TestContext, url: string): Promise<RecordingProxy> {
    const worker = new Worker(threadFile(import.meta.url, './recording-proxy-thread'), { workerData: { url } });
    t.after(async () => void (await worker.terminate()));
    const [port] = (await once(worker, 'message')) as [number];
    return new RecordingProxy(`http://127.0.0.1:${port}`, worker);
  }

  /** All requests that were answered to the end. */
  async messages(): Promise<readonly HttpMessage[]> {
    this.#worker.postMessage('seen');
    const [messages] = (await once(this.#worker, 'message')) as [readonly HttpMessage[]];
    return messages;
  }
}
