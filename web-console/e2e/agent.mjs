// What agents do in these tests: for issue 28 they write what would like to be HTML, else they play the demo's parts.
import { spawn } from 'node:child_process'

if (process.env.CODEX_K8S_ISSUE === '28') {
  console.log('<script>window.__xss = "log"</script><img src=x onerror="window.__xss = \'log\'">')
  console.log('\u001b]8;;javascript:window.__xss="log"\u0007click me\u001b]8;;\u0007 \u001b[31mred\u001b[0m')
  console.log('https://example.com/"onmouseover="window.__xss=1 javascript:window.__xss=1')
} else {
  const child = spawn(process.argv[2], ['dev', 'agent'], { stdio: ['ignore', 'inherit', 'inherit'] })
  child.on('exit', (code) => process.exit(code ?? 1))
}
