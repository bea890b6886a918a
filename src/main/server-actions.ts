/** What administrators can have done to the server as a whole. Each is noted in the audit log of the server. */
import type { ServerActions } from '../front-end/server-actions.ts';
import type { AuditOperation } from '../protocol/operations/audit.ts';
import { wallMs } from '../shared/clock.ts';
import type { CurrentLogLevel } from './log-level.ts';
import type { Reload } from './reload.ts';
import type { ServiceManager } from './service-manager.ts';

export interface ServerActionParts {
  readonly reloading: Reload;
  readonly logLevel: CurrentLogLevel;
  readonly manager: ServiceManager;
  readonly log: { info(details: object, message: string): void };
  readonly url: string;
  readonly audit: (entry: AuditOperation) => void;
  readonly isStopping: () => boolean;
  /** Begins a drain once the reply has left. */
  readonly stopSoon: () => void;
}

export function serverActions(parts: ServerActionParts): ServerActions {
  const { reloading, logLevel, manager, log, url, audit, isStopping, stopSoon } = parts;
  return {
    reload(by) {
      if (isStopping()) return { problems: ['the server is stopping'] };
      manager.reloading();
      const report = reloading.run();
      const isOld = 'problems' in report;
      manager.ready(
        `Serving on ${url}${isOld ? ' with the old configuration: the new one has problems, see the log' : ''}`,
      );
      if (!isOld) audit({ action: 'server.reload', subject: report.changed.join(', '), ...by });
      return report;
    },
    setLogLevel({ level, forMs }, by) {
      logLevel.change(level, forMs);
      audit({ action: 'server.log_level', subject: `${level} for ${forMs / 1000} s`, ...by });
      return { configured: logLevel.configured, untilMs: wallMs() + forMs };
    },
    drain(by) {
      log.info({ who: by.who, from: by.from }, 'Asked to drain');
      audit({ action: 'server.drain', subject: '', ...by });
      stopSoon();
    },
  };
}
