import { inspect } from 'node:util';
import type { MessagePort } from 'node:worker_threads';

interface LogMessage {
  readonly kind: 'log';
  readonly level: string;
  readonly message: string;
  readonly details?: object;
}

/** Sends a line of the log to the main thread. Details that cannot be sent go as text: logging never throws. */
export function postLog(port: MessagePort, message: LogMessage): void {
  try {
    port.postMessage(message);
  } catch {
    port.postMessage({ ...message, details: { details: inspect(message.details) } });
  }
}
