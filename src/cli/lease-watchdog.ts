/**
 * A second process that outlives ours as long as the lease lasts. We send it the time until which the group may live,
 * and it kills the group then. While all is well we send a later time before that; so the watchdog acts only when we
 * cannot, because we are stopped, swapped out or killed. The pipe to it closes when we are killed.
 *
 * It is a shell, because another Node would double the memory of each lock. Times are those of the machine since its
 * start, in hundredths of a second, which all processes share.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { machineBootMs } from './boot-clock.ts';
import { signalGroup } from './signals.ts';

/**
 * Reads the leader of the group, then times. A line that does not come in time, and an end of the input, are told
 * apart by the exit code of `timeout`. Without /proc, whole seconds count, rounded so that the group ends early.
 */
const watch = `
left() {
  if read -r up rest 2>/dev/null </proc/uptime
  then left=$((till - (\${up%.*} * 100 + 1\${up#*.} - 100)))
  else left=$((till - $(date +%s) * 100 - 99))
  fi
}
seconds() { printf '%d.%02d' $(($1 / 100)) $(($1 % 100)); }
end() { kill -s KILL -- "-$leader"; exit; }
read -r leader && read -r till || exit
while left; [ "$left" -gt 0 ]; do
  line=$(timeout "$(seconds "$left")" sh -c 'read -r line && echo "$line"')
  case $? in
    0) till=$line ;;
    1)
      kill -s TERM -- "-$leader" && kill -s CONT -- "-$leader"
      while kill -s 0 -- "-$leader"; do
        left
        [ "$left" -gt 0 ] || end
        sleep "$(seconds $((left < 100 ? left : 100)))"
      done
      exit
      ;;
    # There is no such program.
    12[567]) exit ;;
  esac
done
end
`;

export class LeaseWatchdog {
  readonly #process: ChildProcess;
  readonly #stepMs: number;
  #tillMs = 0;

  /** @param stepMs by how much a new time must be later to be worth a message */
  constructor(stepMs: number) {
    this.#stepMs = stepMs;
    // A group of its own, so that signals to our group or from a terminal do not reach it.
    this.#process = spawn('/bin/sh', ['-c', watch, 'dragonlock-watchdog'], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      env: { PATH: `/usr/bin:/bin:${process.env['PATH'] ?? ''}` },
      cwd: '/',
    });
    this.#process.unref();
    // Without a watchdog, this process still guards the group itself.
    this.#process.on('error', () => undefined);
    this.#process.stdin?.on('error', () => undefined);
  }

  /** @param leader of the group, which may live for `ms` from now */
  guard(leader: number, ms: number): void {
    this.#process.stdin?.write(`${leader}\n`);
    this.allow(ms);
  }

  /** Allows the group to live for `ms` from now. */
  allow(ms: number): void {
    const tillMs = machineBootMs() + ms;
    if (tillMs < this.#tillMs + this.#stepMs) return;
    this.#tillMs = tillMs;
    this.#process.stdin?.write(`${Math.floor(tillMs / 10)}\n`);
  }

  /** Ends the watchdog, after the group has ended. */
  dismiss(): void {
    // The whole group: the shell, and what it waits with.
    const { pid } = this.#process;
    if (pid !== undefined) signalGroup(pid, 'SIGKILL');
    else this.#process.kill('SIGKILL');
  }
}
