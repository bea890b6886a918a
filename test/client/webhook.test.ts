import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyWebhook, WebhookError } from '../../src/client/webhook.ts';

/** The vector of the reference libraries of Standard Webhooks. */
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const body = '{"test": 2432232314}';
const headers = {
  'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  'webhook-timestamp': '1614265330',
  'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};
const now = 1_614_265_330_000;

test('the vector of Standard Webhooks is verified, in each form of headers, body and secret', () => {
  const found = { id: headers['webhook-id'] };
  assert.deepEqual(verifyWebhook(headers, body, secret, { now }), found);
  assert.deepEqual(verifyWebhook(new Headers(headers), Buffer.from(body), ['whsec_eA==', secret], { now }), found);
  const capital = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]));
  assert.deepEqual(verifyWebhook(capital, body, secret.slice('whsec_'.length), { now }), found);
  const two = { ...headers, 'webhook-signature': `v1,AAAA v1a,x ${headers['webhook-signature']}` };
  assert.deepEqual(verifyWebhook(two, body, secret, { now }), found);
});

test('what a run says is told', () => {
  const run = { 'dragonlock-scheduled': '1700000000000', 'dragonlock-attempt': '2', 'dragonlock-fence': '77' };
  const { scheduled, attempt, fence } = verifyWebhook({ ...headers, ...run }, body, secret, { now });
  assert.deepEqual([scheduled, attempt, fence], [1_700_000_000_000, 2, 77]);
});

test('what was changed, is old, or has another secret is refused', () => {
  refused(headers, `${body} `, secret, { now });
  refused({ ...headers, 'webhook-id': 'msg_other' }, body, secret, { now });
  refused({ ...headers, 'webhook-timestamp': '1614265331' }, body, secret, { now });
  refused(headers, body, 'whsec_eA==', { now });
  refused(headers, body, secret);
  refused(headers, body, secret, { now: now + 300_001 });
  refused(headers, body, secret, { now: now - 300_001 });
  refused({ ...headers, 'webhook-signature': '' }, body, secret, { now });
  refused({ ...headers, 'webhook-signature': ['a', 'b'] }, body, secret, { now });
  refused({}, body, secret, { now });
  verifyWebhook(headers, body, secret, { now: now + 400_000, toleranceMs: 500_000 });
  assert.throws(() => verifyWebhook(headers, body, [], { now }), TypeError);
});

function refused(...[given, text, secrets, options]: Parameters<typeof verifyWebhook>): void {
  assert.throws(() => verifyWebhook(given, text, secrets, options), WebhookError);
}
