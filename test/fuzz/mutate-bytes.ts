/** Damages bytes as a bad cable, disk, copy or attacker may. */
import type { SeededRandom } from '../support/seeded-random.ts';
import { pick } from './fuzz.ts';

/** Numbers at which lengths and counters go wrong. */
const edges = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];

export function randomBytes(random: SeededRandom, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 1) bytes[at] = random.below(256);
  return bytes;
}

/** Returns a changed copy, perhaps of another length. */
export function mutated(random: SeededRandom, bytes: Buffer): Buffer {
  let changed = Buffer.from(bytes);
  for (let times = 1 + random.below(3); times > 0; times -= 1) changed = mutateOnce(random, changed);
  return changed;
}

function mutateOnce(random: SeededRandom, bytes: Buffer): Buffer<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const length = random.below(Math.min(64, bytes.length - at) + 1);
  const inPlace = Buffer.from(bytes);
  switch (random.below(9)) {
    case 0:
      if (at < bytes.length) inPlace[at]! ^= 1 << random.below(8);
      return inPlace;
    case 1:
      if (at < bytes.length) inPlace[at] = random.below(256);
      return inPlace;
    case 2:
      if (at + 4 <= bytes.length) inPlace.writeUInt32LE(pick(random, edges), at);
      return inPlace;
    case 3:
      return inPlace.fill(0, at, at + length);
    case 4:
      return Buffer.from(bytes.subarray(0, at));
    case 5:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 6:
      return Buffer.concat([bytes.subarray(0, at), randomBytes(random, random.below(32)), bytes.subarray(at)]);
    case 7:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    default:
      bytes.copy(inPlace, random.below(bytes.length + 1), at, at + length);
      return inPlace;
  }
}
