document.querySelectorAll(".table").forEach(tables.start);
document.querySelectorAll(".episode").forEach(episodes.start);
if (window.Plotly) {
  charts.start();
  document.querySelectorAll(".explorer").forEach(explorer.start);
}
