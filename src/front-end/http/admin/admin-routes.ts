/** All calls below `/admin` but for those about backups, and what they share. `adminCalls` declares them. */
import type { FastifyInstance } from 'fastify';
import type { AccountId } from '../../../protocol/ids.ts';
import { isFailure, type Reply } from '../../../protocol/replies.ts';
import { accountsAfter, accountsOf, longestLines } from '../../../protocol/operations/admin.ts';
import { serverAccount } from '../../../protocol/ids.ts';
import type { Command } from '../../../protocol/operations/operations.ts';
import { adminPageMax, pageLimitDefault } from '../../../shared/limits.ts';
import type { SharedCount } from '../../../shared/shared-count.ts';
import type { WatchInfo } from '../../../router/dispatcher.ts';
import { refuse } from '../../../protocol/refusal.ts';
import type { ServerActions } from '../../server-actions.ts';
import type { HttpExchange } from '../http-exchange.ts';
import { sumOfTallies, type ScriptTally } from '../../../scripts/script-tallies.ts';
import { wallMs } from '../../../shared/clock.ts';
import type { RouteContext } from '../route-context.ts';
import { actionRoutes } from './action-routes.ts';
import { adminRoute, answerJson, type AdminRequest } from './admin-route.ts';
import { Live } from './live.ts';
import { OverviewMaker, type Overview } from './overview.ts';
import { Peers } from './peers.ts';
import type { TopOrder } from '../../../protocol/operations/admin-calls.ts';
import { slowReply, topReply } from './traffic-replies.ts';
import { settingsOf, tokensOf } from './settings.ts';

export interface AdminOptions {
  readonly frontEnds: number;
  readonly index: number;
  readonly viewers: SharedCount;
  /** Only the first front end is asked. */
  readonly actions: () => ServerActions | undefined;
}

export function adminRoutes(app: FastifyInstance, context: RouteContext, options: AdminOptions): void {
  const { frontEnds, index, viewers, actions } = options;
  const { boot, dispatcher, lifecycle, inForce } = context;
  const peers = new Peers({ boot, index, frontEnds });
  const overview = index === 0 ? new OverviewMaker(context) : undefined;
  peers.answer('overview', () => overview?.current());
  peers.answer('slow', () => context.requestLog.slow.all());
  peers.answer('top', () => context.busy.current());
  peers.answer('watches', (of) => dispatcher.watches(of as AccountId | undefined, adminPageMax));
  peers.answer('scripts', (of) => context.scripts?.talliesOf(of as AccountId));
  const current = (): Promise<Overview | undefined> => peers.askFirst('overview') as Promise<Overview | undefined>;
  const live = new Live({ boot, current, serving: () => lifecycle.state() === 'serving', viewers });
  app.addHook('preClose', (done) => {
    live.close();
    done();
  });
  app.addHook('onClose', (_app, done) => {
    overview?.close();
    peers.close();
    done();
  });

  adminRoute(app, context, 'admin.me', ({ access }, exchange) => {
    const { name, accounts, scopes } = access;
    const Accounts = accounts === '*' ? '*' : [...accounts];
    answerJson(exchange, { Name: name, Accounts, Scopes: [...scopes], Open: context.tokens.isOpen });
  });
  adminRoute(app, context, 'admin.overview', (_, exchange) => answerLater(exchange, current()));
  adminRoute(app, context, 'admin.live', (_, exchange) => live.follow(exchange));
  adminRoute(app, context, 'admin.accounts', (request, exchange) => {
    ask(context, exchange, accountsAsked(request), (body) => withUse(context, body));
  });
  adminRoute(app, context, 'admin.locks', ({ access, account }, exchange) => {
    if (account === undefined && access.accounts !== '*')
      refuse('forbidden', 'This token is for some accounts; expected ?account with one of them');
    ask(context, exchange, longestLines(account));
  });
  adminRoute(app, context, 'admin.lock', ({ account, id }, exchange) => {
    ask(context, exchange, { kind: 'lock.line', account: account!, id });
  });
  adminRoute(app, context, 'admin.watchers', ({ access, account }, exchange) => {
    if (account === undefined && access.accounts !== '*')
      refuse('forbidden', 'This token is for some accounts; expected ?account with one of them');
    answerLater(exchange, watchersOf(peers, account));
  });
  adminRoute(app, context, 'admin.scripts', ({ account }, exchange) => {
    answerLater(exchange, scriptsOf(peers, account!));
  });
  adminRoute(app, context, 'admin.slow', ({ query }, exchange) => {
    const limit = Number(query['limit'] ?? adminPageMax);
    answerLater(
      exchange,
      peers.askAll('slow').then((found) => slowReply(found, limit)),
    );
  });
  adminRoute(app, context, 'admin.top', ({ query }, exchange) => {
    const by = (query['by'] ?? 'requests') as TopOrder;
    answerLater(
      exchange,
      peers.askAll('top').then((found) => topReply(found, by)),
    );
  });
  adminRoute(app, context, 'admin.config', (_, exchange) =>
    answerJson(exchange, { Settings: settingsOf(inForce.config) }),
  );
  adminRoute(app, context, 'admin.tokens', (_, exchange) =>
    answerJson(exchange, { Tokens: tokensOf(inForce.config.tokens) }),
  );
  actionRoutes(app, context, peers, actions);
  adminRoute(app, context, 'admin.audit', ({ account, query }, exchange) => {
    const { after, action, limit = pageLimitDefault } = query;
    ask(context, exchange, {
      kind: 'audit.list',
      account: account ?? serverAccount,
      ...(after !== undefined && { after: Number(after) }),
      ...(action !== undefined && { action: String(action) }),
      limit: Number(limit),
    });
  });
}

function accountsAsked({ access, query }: AdminRequest): Command {
  const { after, limit = adminPageMax } = query;
  const from = after === undefined ? undefined : (JSON.parse(String(after)) as AccountId);
  if (access.accounts === '*') return accountsAfter(from, Number(limit));
  return accountsOf([...access.accounts] as AccountId[]);
}

/** Sends a command to its shards, and answers with what they say, or with what `change` makes of it. */
function ask(context: RouteContext, exchange: HttpExchange, command: Command, change?: (body: string) => string): void {
  const sink = {
    get disconnected() {
      return exchange.disconnected;
    },
    deliver: (reply: Reply) =>
      exchange.deliver(
        change === undefined || isFailure(reply.outcome) ? reply : { ...reply, body: change(reply.body) },
      ),
  };
  exchange.wait(context.dispatcher.request(command, sink));
}

/** A rejection is a bug: as it is unhandled, it takes the process down. */
function answerLater(exchange: HttpExchange, body: Promise<object | undefined>): void {
  exchange.wait({ cancel: () => {} });
  void body.then((made) => answerJson(exchange, made ?? {}));
}

/** Adds to each account what front ends count of it. */
function withUse({ accounts, rateLimiter, quotas }: RouteContext, body: string): string {
  const { Accounts, ...rest } = JSON.parse(body) as { readonly Accounts: { readonly Account: AccountId }[] };
  const rows = Accounts.map((row) => {
    const use = accounts.use(row.Account);
    const counts = {
      Connections: use.value('connections'),
      InFlight: use.value('inFlight'),
      Waiters: use.value('waiters'),
      Watchers: use.value('watchers'),
      RequestsPerSecondMax: rateLimiter.rateOf(row.Account),
      BytesMax: quotaOf(quotas.of(row.Account)?.bytes),
      EntriesMax: quotaOf(quotas.of(row.Account)?.entries),
    };
    accounts.release(use);
    return { ...row, ...counts };
  });
  return JSON.stringify({ Accounts: rows, ...rest });
}

/** As in config.yml: 0 is no limit. */
function quotaOf(most = Infinity): number {
  return most === Infinity ? 0 : most;
}

async function scriptsOf(peers: Peers, account: AccountId): Promise<object> {
  const found = (await peers.askAll('scripts', account)) as (readonly ScriptTally[] | undefined)[];
  const Scripts = sumOfTallies(found.flatMap((tallies) => tallies ?? [])).map((tally) => ({
    Script: tally.script,
    Calls: tally.calls,
    Refused: tally.refused,
    Failed: tally.failed,
    CPUMs: Math.round(tally.cpuMs * 1000) / 1000,
    ...(tally.lastError !== undefined && { LastError: tally.lastError, LastErrorMs: tally.lastErrorMs }),
  }));
  return { Scripts, Now: wallMs() };
}

async function watchersOf(peers: Peers, account: AccountId | undefined): Promise<object> {
  const found = (await peers.askAll('watches', account)) as (readonly WatchInfo[] | undefined)[];
  const all = found.flatMap((watches) => watches ?? []);
  return { Watchers: all.slice(0, adminPageMax), ...(all.length > adminPageMax && { More: true }) };
}
