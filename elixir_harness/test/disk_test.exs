defmodule DiskTest do
  @moduledoc "Otturnaut.Disk: what takes room, whose it is, what can go."
  use Harness.Case

  alias Otturnaut.Disk

  test "usage tells of the agent, the engines, and whose each thing is", %{node: node, app: app} do
    assert {:ok, d} = deploy(node, app)
    usage = call(node, Disk, :usage, [])
    assert %{disks: %{data: %{path: _, bytes: %{total: total, free: free}}}} = usage
    assert total > free and free > 0
    assert usage.agent["journal"] > 0 and usage.agent["events"] > 0
    docker = usage.runtimes.docker
    assert docker.totals.images > 0
    image = Enum.find(docker.images, &(d.image in &1.names))
    assert %{size: size, why: "a release that is kept needs it"} = image
    assert size > 0 and is_binary(image.app_id)
    container = Enum.find(docker.containers, &(&1.name == d.container_name))
    assert %{app_id: ^app, why: "its labels say so"} = container
  end

  test "what is nobody's here is told to be so", %{node: node, app: app} do
    tag = "foreign-#{app}:1"
    Images.own!(tag)
    on_exit(fn -> Engine.remove_image(Engine.docker(), tag) end)
    images = call(node, Disk, :usage, []).runtimes.docker.images
    assert %{app_id: nil, why: why} = Enum.find(images, &(tag in &1.names))
    assert why =~ "no release of this outpost"
    call(node, Disk, :prune, [])
    assert Engine.image?(Engine.docker(), tag)
  end

  test "prune explains what stays and what goes, and a dry run touches nothing", %{node: node, app: app} do
    assert {:ok, d} = deploy(node, app, %{keep_releases: 1})
    items = call(node, Disk, :prune, [[dry_run: true]])
    own = Enum.filter(items, &(&1.app_id == app))
    assert own != []
    assert Enum.all?(own, &match?(%{action: :keep, why: _}, &1))
    assert Enum.any?(own, &(&1.kind == :image and &1.name == "otturnaut-release:#{app}-#{d.id}"))
  end
end
