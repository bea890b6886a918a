/**
 * Tells the replies of a Dragon Lock server from those of a gateway: a proxy, a load balancer, a CDN or a captive portal
 * on the way. Every reply of a server has the header `Dragonlock-Boot`. A gateway answers in the server's place while
 * the server restarts or takes long; whether the server has received the request, only the gateway knows. So such a
 * reply counts as no reply.
 *
 *     header and JSON  first contact made?  status              the reply is
 *     both                                                      the server's
 *     one or none      yes                                      no reply
 *     one or none      no                   408, 425, 429, 5xx  no reply
 *     one or none      no                   any other           of a foreign server
 */
import { errorOfReply, NotDragonLockError } from './errors.ts';
import { requireVersion } from './server-version.ts';
import { TransportError, type WireReply } from './transport.ts';

/** Statuses below 500 with which a gateway asks to come again. */
const comeAgain: ReadonlySet<number> = new Set([408, 425, 429]);

/** @returns the JSON of a server's reply, after first contact. @throws TransportError if the reply is no reply */
export function serverReply(reply: WireReply): object {
  const { status, text, boot } = reply;
  if (boot !== undefined && status === 204) return {};
  const json = jsonOf(text);
  if (boot !== undefined && json !== undefined) return json;
  throw noReply(reply);
}

/**
 * Checks the reply to the first question, `GET /version`.
 * @throws TransportError if it is no reply; the server's error; NotDragonLockError, ServerTooOldError
 */
export function checkVersionReply(reply: WireReply, url: string): void {
  const { status, text, boot } = reply;
  const json = jsonOf(text);
  const ours = boot !== undefined && json !== undefined;
  if (!ours && (status >= 500 || comeAgain.has(status))) throw noReply(reply);
  let what = `status ${status}`;
  if (status < 400 && json !== undefined && 'Version' in json) {
    requireVersion(json.Version, url);
    if (ours) return;
    what = 'no header Dragonlock-Boot: does a proxy remove it?';
  }
  const error = ours ? errorOfReply(status, json) : undefined;
  throw error ?? new NotDragonLockError(`The server at ${url} is not a Dragon Lock server (${what}).`, { status });
}

function noReply({ status, retryAfterMs }: WireReply): TransportError {
  return new TransportError(new Error(`a gateway replied with status ${status}`), true, false, retryAfterMs);
}

function jsonOf(text: string): object | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}
