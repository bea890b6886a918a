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
import { NotDragonLockError } from './errors.ts';
import { TransportError, type WireReply } from './transport.ts';

/** Statuses below 500 with which a gateway asks to come again. */
const comeAgain: ReadonlySet<number> = new Set([408, 425, 429]);

/**
 * @param of `contacted`: a Dragon Lock server has answered at this URL before
 * @returns the JSON of the server's reply
 * @throws TransportError if it is no reply, NotDragonLockError if it is of a foreign server
 */
export function serverReply(reply: WireReply, of: { readonly url: string; readonly contacted: boolean }): object {
  const { status, text, boot, retryAfterMs } = reply;
  const json = jsonOf(text);
  if (boot !== undefined && status === 204) return {};
  if (boot !== undefined && json !== undefined) return json;
  if (of.contacted || status >= 500 || comeAgain.has(status)) {
    const cause = new Error(`a gateway replied with status ${status}`);
    throw new TransportError(cause, true, false, retryAfterMs);
  }
  const hint =
    json !== undefined && 'Version' in json ? 'no header Dragonlock-Boot: does a proxy remove it?' : `status ${status}`;
  throw new NotDragonLockError(`The server at ${of.url} is not a Dragon Lock server (${hint}).`, { status });
}

function jsonOf(text: string): object | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}
