// Before the first paint: the theme that was chosen here, or the system's.
(function () {
  var chosen = null
  try {
    chosen = localStorage.getItem('codex-k8s-theme')
  } catch (e) {
    // Storage can be forbidden.
  }
  var dark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.classList.toggle('dark', dark)
})()
