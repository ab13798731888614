/**
 * The units of systemd: a service that goes on, or one that counts once with a timer, and a template
 * that tells of its failure.
 *
 * Each of them may do what it needs, and little else. Two things are left allowed on purpose: memory that
 * is written and then executed (`MemoryDenyWriteExecute=` ends Node.js at its start), and the system
 * calls of `@resources`, which MariaDB makes.
 */

import { join } from 'node:path'
import { execLine, unitText, unitWord } from './unit-words.ts'
import { withinAny } from './within.ts'

export interface Unit {
  readonly name: string
  readonly text: string
}

/** Where things are, all from / on. */
export interface Deployment {
  readonly node: string
  readonly program: string
  /**
   * One that stays. With one that systemd makes up (`DynamicUser=`) the state would lie below a directory
   * that root alone may enter: a command that root runs as the state's owner would find it closed.
   */
  readonly user: string
  /** undefined: systemd makes one in /var/lib. */
  readonly dir: string | undefined
  readonly configFile: string | undefined
  /** Given to the service as a credential, so it may be root's alone. */
  readonly databaseUrlFile: string | undefined
}

const NAME = 'countersink'
export const ALERT_UNIT = `${NAME}-alert@.service`
const SETTINGS_FILE = `/etc/${NAME}/environment`
const CREDENTIAL = 'database-url'

/** For as long as the machine runs. */
export function serviceUnits(place: Deployment): Unit[] {
  const text = fileText({
    Unit: [
      'Description=countersink: exact totals from files of usage',
      ...whenToStart(place),
      ...['StartLimitIntervalSec=1800', 'StartLimitBurst=5'],
    ],
    Service: [
      ...['Type=notify', '# A helper of it speaks for it.', 'NotifyAccess=all'],
      `ExecStart=${commandLine(place, 'up', '--no-generator')}`,
      '# Reads its configuration and opens its logs anew.',
      'ExecReload=/bin/sh -c "kill -HUP $MAINPID"',
      '# It ends by itself what hangs under it; this is for when that does not help.',
      'WatchdogSec=60',
      `SyslogIdentifier=${NAME}`,
      ...['Restart=on-failure', 'RestartSec=5'],
      '# Wrong usage or configuration: another start would be no different.',
      'RestartPreventExitStatus=2 78',
      '# The program stops what it has started, in order.',
      ...['KillMode=mixed', 'TimeoutStartSec=300', 'TimeoutStopSec=300'],
      '# A process that memory was taken from is started again by the program.',
      'OOMPolicy=continue',
      ...home(place),
      ...credentials(place),
      ...confinement(place),
    ],
    Install: ['WantedBy=multi-user.target'],
  })
  return [{ name: `${NAME}.service`, text }, alertUnit(place)]
}

/** Counts what is there each minute, and ends. */
export function timerUnits(place: Deployment): Unit[] {
  const service = fileText({
    Unit: ['Description=countersink: count what is in the inbox', ...whenToStart(place)],
    Service: [
      'Type=oneshot',
      `ExecStart=${commandLine(place, 'run', '--once', '--timeout', '3600')}`,
      `SyslogIdentifier=${NAME}`,
      ...['KillMode=mixed', 'TimeoutStopSec=300', 'OOMPolicy=continue'],
      ...home(place),
      ...credentials(place),
      ...confinement(place),
    ],
  })
  const timer = fileText({
    Unit: ['Description=countersink: count what is in the inbox, each minute'],
    Timer: [
      '# While a run is under way, none is started on top of it.',
      ...['OnCalendar=minutely', 'AccuracySec=10', 'Persistent=yes'],
    ],
    Install: ['WantedBy=timers.target'],
  })
  return [
    { name: `${NAME}.service`, text: service },
    { name: `${NAME}.timer`, text: timer },
    alertUnit(place),
  ]
}

/** Runs COUNTERSINK_ALERT_COMMAND, or is a line in the journal. */
function alertUnit(place: Deployment): Unit {
  const text = fileText({
    Unit: [
      'Description=Tell that %i has ended abnormally',
      '# No more than one in a quarter of an hour.',
      ...['StartLimitIntervalSec=900', 'StartLimitBurst=1'],
    ],
    Service: [
      ...['Type=oneshot', `ExecStart=${commandLine(place, 'systemd')} --failed %i`],
      ...['TimeoutStartSec=60', 'SyslogLevel=err', `SyslogIdentifier=${NAME}`],
      ...home(place),
      ...confinement(place),
    ],
  })
  return { name: ALERT_UNIT, text }
}

function whenToStart({ dir }: Deployment): string[] {
  return [
    `OnFailure=${NAME}-alert@%n.service`,
    ...['Wants=network-online.target', 'After=network-online.target mariadb.service'],
    ...(dir === undefined ? [] : [`RequiresMountsFor=${unitWord(dir)}`]),
  ]
}

function commandLine({ node, program, dir, configFile }: Deployment, ...args: string[]): string {
  return execLine([
    ...[node, program, ...args],
    ...(dir === undefined ? [] : ['--dir', dir]),
    ...(configFile === undefined ? [] : ['--config', configFile]),
  ])
}

/** Whose it is, what belongs to it, and what it is told. */
function home({ user, dir }: Deployment): string[] {
  return [
    '',
    `User=${user}`,
    ...(dir === undefined
      ? [
          ...[`StateDirectory=${NAME}`, 'StateDirectoryMode=0700'],
          ...[`LogsDirectory=${NAME}`, 'LogsDirectoryMode=0700'],
        ]
      : [`ReadWritePaths=${unitWord(dir)}`]),
    `ConfigurationDirectory=${NAME}`,
    '# Settings, if there is such a file: COUNTERSINK_…=…, a line each. It may be root’s alone.',
    `EnvironmentFile=-${SETTINGS_FILE}`,
  ]
}

function credentials({ databaseUrlFile }: Deployment): string[] {
  if (databaseUrlFile === undefined) return []
  return [
    `LoadCredential=${CREDENTIAL}:${unitText(databaseUrlFile)}`,
    // The specifier for the directory is unknown to older versions, which would leave out the line.
    `Environment=COUNTERSINK_DATABASE_URL_FILE=${join('/run/credentials/%n', CREDENTIAL)}`,
  ]
}

function confinement({ node, program, dir, configFile }: Deployment): string[] {
  const needed = [node, program, dir, configFile]
  const isIn = (...veiled: string[]) => needed.some(path => path && withinAny(path, veiled))
  return [
    '',
    ...['LimitNOFILE=65536', '# A core would hold passwords.', 'LimitCORE=0', 'UMask=0077'],
    ...['NoNewPrivileges=yes', 'CapabilityBoundingSet=', 'ProtectSystem=strict'],
    `ProtectHome=${isIn('/home', '/root', '/run/user') ? 'read-only' : 'yes'}`,
    `PrivateTmp=${isIn('/tmp', '/var/tmp') ? 'no' : 'yes'}`,
    ...['PrivateDevices=yes', 'PrivateMounts=yes', 'ProtectClock=yes', 'ProtectControlGroups=yes'],
    ...['ProtectHostname=yes', 'ProtectKernelLogs=yes', 'ProtectKernelModules=yes'],
    ...['ProtectKernelTunables=yes', 'ProtectProc=invisible', 'RemoveIPC=yes'],
    ...['LockPersonality=yes', 'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6'],
    ...['RestrictNamespaces=yes', 'RestrictRealtime=yes', 'RestrictSUIDSGID=yes'],
    ...['SystemCallArchitectures=native', 'SystemCallFilter=@system-service'],
    ...['SystemCallFilter=~@privileged', 'SystemCallErrorNumber=EPERM'],
  ]
}

function fileText(sections: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(sections)
    .map(([name, lines]) => [`[${name}]`, ...lines, ''].join('\n'))
    .join('\n')
}
