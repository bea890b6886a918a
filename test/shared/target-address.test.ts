import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRefusedAddress } from '../../src/shared/target-address.ts';

const refused = [
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.255',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.168.1.1',
  '198.19.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::7f00:1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '0:0:0:0:0:ffff:a9fe:a9fe',
  '64:ff9b::10.0.0.1',
  '64:ff9b:1::1',
  '2002:7f00:1::',
  '2002:a9fe:a9fe::1',
  '2001::1',
  '2001:db8::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'ff02::1',
  '3fff::1',
  '100::1',
];
const allowed = [
  '1.1.1.1',
  '8.8.8.8',
  '100.63.255.255',
  '172.32.0.1',
  '192.0.0.9',
  '192.31.196.1',
  '192.175.48.1',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '::ffff:8.8.8.8',
  '64:ff9b::8.8.8.8',
  '2002:808:808::1',
  '2001:4:112::1',
  '2001:20::1',
  '2620:4f:8000::1',
];

for (const address of refused) test(`${address} is refused`, () => assert.equal(isRefusedAddress(address), true));
for (const address of allowed) test(`${address} is allowed`, () => assert.equal(isRefusedAddress(address), false));

test('what URL makes of a literal is one of these', () => {
  for (const literal of ['127.1', '0x7f.1', '2130706433', '0177.0.0.1', '[::ffff:127.0.0.1]', '127.0.0.1.']) {
    const { hostname } = new URL(`http://${literal}/`);
    assert.equal(isRefusedAddress(hostname.replaceAll(/[[\]]/g, '')), true, literal);
  }
});
