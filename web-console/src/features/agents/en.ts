export default {
  title: 'Agents',
  roles: { dev: 'Developer' },
  labels: 'Started by',
  stages: 'Carries',
  runs: 'Of the last 1,000 runs',
  noRuns: 'It has not run yet.',
  how: 'How workers run it',
  fields: { worker: 'Worker', image: 'Image', command: 'Command', deadline: 'May run', lease: 'Namespace kept', log: 'Log kept', promised: 'Promised', most: 'At most', since: 'Since' },
  ownCommand: 'the image’s own',
  megabytes: '{count} MiB',
  none: 'No worker lives that runs agents: start one with codex-k8s worker.',
}
